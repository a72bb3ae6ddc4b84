package spark

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

const (
	secondsPerDay = 86_400
	maxYear       = 999_999_999 // beyond what 64 bits of milliseconds hold
)

// appendDate prints days since 1970-01-01 in the proleptic Gregorian calendar as java.time does:
// four digits of the year at least, a sign before a year outside 0 to 9999.
func appendDate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	switch {
	case year > 9999:
		dst = append(dst, '+')
	case year < 0:
		dst, year = append(dst, '-'), -year
	}
	dst = appendPadded(dst, year, 4)
	dst = append(dst, '-')
	dst = appendPadded(dst, month, 2)
	dst = append(dst, '-')
	return appendPadded(dst, day, 2)
}

// appendTimestamp prints ticks since 1970 in UTC, the fraction of the second without trailing zeros.
func appendTimestamp(dst []byte, ticks, perSecond int64) []byte {
	days := floorDiv(ticks, perSecond*secondsPerDay)
	dst = appendDate(dst, days)
	dst = append(dst, ' ')
	// The product may wrap around for the first day of the range; the difference is right all the same.
	return appendClock(dst, ticks-days*perSecond*secondsPerDay, perSecond)
}

// appendClock prints ticks since midnight.
func appendClock(dst []byte, ticks, perSecond int64) []byte {
	size := uint64(ticks)
	if ticks < 0 { // no writer should make it
		dst, size = append(dst, '-'), -size
	}
	seconds, fraction := int64(size/uint64(perSecond)), int64(size%uint64(perSecond))
	dst = appendPadded(dst, seconds/3600, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds/60%60, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds%60, 2)
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = appendPadded(dst, fraction, len(strconv.FormatInt(perSecond, 10))-1)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendPadded(dst []byte, v int64, width int) []byte {
	for limit := int64(10); width > 1; width-- {
		if v < limit {
			dst = appendZeros(dst, width-1)
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, v, 10)
}

// civil turns days since 1970-01-01 into a date, and daysOf back. Source of the arithmetic: Howard
// Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, eras have 400 years.
func civil(days int64) (year, month, day int64) {
	z := days + 719_468
	era := floorDiv(z, 146_097)
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	year, month, day = yoe+era*400, mp+3, doy-(153*mp+2)/5+1
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146_097 + doe - 719_468
}

// parseDate reads what appendDate prints.
func parseDate(s string) (int64, bool) {
	sign := int64(1)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	parts := strings.Split(s, "-")
	if len(parts) != 3 || len(parts[0]) < 4 || len(parts[1]) != 2 || len(parts[2]) != 2 {
		return 0, false
	}
	year, ok1 := parseDigits(parts[0], maxYear)
	month, ok2 := parseDigits(parts[1], 12)
	day, ok3 := parseDigits(parts[2], 31)
	if !ok1 || !ok2 || !ok3 || month < 1 || day < 1 {
		return 0, false
	}
	days := daysOf(sign*year, month, day)
	if _, m, d := civil(days); m != month || d != day {
		return 0, false
	}
	return days, true
}

// parseTimestamp reads what appendTimestamp prints.
func parseTimestamp(s string, perSecond int64) (int64, bool) {
	date, clock, found := strings.Cut(s, " ")
	days, ok := parseDate(date)
	if !found || !ok {
		return 0, false
	}
	ticks, ok := parseClock(clock, perSecond)
	if !ok || ticks < 0 || ticks >= secondsPerDay*perSecond {
		return 0, false
	}
	perDay := perSecond * secondsPerDay
	// In two steps from below zero, because days*perDay alone may be just outside 64 bits.
	if days < 0 {
		days, ticks = days+1, ticks-perDay
	}
	v := days * perDay
	if days != 0 && v/days != perDay {
		return 0, false
	}
	sum := v + ticks
	return sum, (sum < v) == (ticks < 0)
}

// parseClock reads what appendClock prints.
func parseClock(s string, perSecond int64) (int64, bool) {
	sign := int64(1)
	if s != "" && s[0] == '-' {
		sign, s = -1, s[1:]
	}
	clock, fraction, hasFraction := strings.Cut(s, ".")
	parts := strings.Split(clock, ":")
	if len(parts) != 3 || len(parts[0]) < 2 || len(parts[1]) != 2 || len(parts[2]) != 2 {
		return 0, false
	}
	const maxHours = math.MaxInt64 / 1000 / 3600 // of milliseconds, the coarsest unit
	h, ok1 := parseDigits(parts[0], maxHours)
	m, ok2 := parseDigits(parts[1], 59)
	sec, ok3 := parseDigits(parts[2], 59)
	f, ok4 := int64(0), true
	if hasFraction {
		f, ok4 = parseFraction(fraction, perSecond)
	}
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return 0, false
	}
	hi, size := bits.Mul64(uint64(h*3600+m*60+sec), uint64(perSecond))
	size, carry := bits.Add64(size, uint64(f), 0)
	if hi+carry != 0 || size > 1<<63 || size == 1<<63 && sign > 0 {
		return 0, false
	}
	return sign * int64(size), true
}

// parseFraction reads the digits after the point of a second; digits finer than a tick must be 0.
func parseFraction(s string, perSecond int64) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	f := int64(0)
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		perSecond /= 10
		if perSecond == 0 && c != '0' {
			return 0, false
		}
		f += int64(c-'0') * perSecond
	}
	return f, true
}

func parseDigits(s string, limit int64) (int64, bool) {
	v := int64(0)
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if v = v*10 + int64(c-'0'); v > limit {
			return 0, false
		}
	}
	return v, s != ""
}
