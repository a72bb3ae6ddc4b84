package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// Count prints a number with its thousands separated.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted is a number with its noun: "1 file", "200 files".
func counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Count(n) + " " + noun
}

// Duration prints a time to three digits or whole seconds, whichever says less.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Seconds prints a time to the second.
func Seconds(d time.Duration) string {
	if d = d.Round(time.Second); d < time.Minute {
		return strconv.Itoa(int(d.Seconds())) + " s"
	}
	return Duration(d)
}

// Size prints bytes with an IEC unit.
func Size(n int64) string { return strings.Replace(model.Size(n).String(), ".0 ", " ", 1) }

// perSecond is a rate; nothing sensible can be said of a moment.
func perSecond(n int64, d time.Duration) int64 {
	if d < time.Millisecond {
		return 0
	}
	return int64(float64(n) / d.Seconds())
}

// percent is a part of a whole, with a digit more where it is small.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case p >= 99.95 && part < whole:
		return "> 99.9 %"
	case p >= 10 || p == 0:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	case p < 0.1:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}
