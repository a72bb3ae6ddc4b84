package model

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes. As text it takes SI and IEC units ("64MB", "512MiB", "1.5 GiB", "1000").
type Size int64

// ParseSize reads a size with an SI or IEC unit.
func ParseSize(s string) (Size, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("bad size %q: want a number with a unit, such as 128MiB or 64MB", s)
	}
	return Size(n), nil
}

// String prints the size with an IEC unit, as short as it is exact to three digits.
func (s Size) String() string {
	if s < 0 {
		return "-" + humanize.IBytes(uint64(-s))
	}
	return humanize.IBytes(uint64(s))
}

// Set and Type make a Size usable as a command line flag.
func (s *Size) Set(text string) error {
	v, err := ParseSize(text)
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Type names the flag's kind in help texts.
func (s *Size) Type() string { return "SIZE" }

// MarshalJSON writes the exact number of bytes.
func (s Size) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(s), 10), nil }

// UnmarshalJSON takes a number of bytes or a text with a unit; YAML job files come here too.
func (s *Size) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, &n) == nil {
		if n < 0 {
			return fmt.Errorf("bad size %d: must not be negative", n)
		}
		*s = Size(n)
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("bad size %s: want a number of bytes or a text such as 128MiB", b)
	}
	return s.Set(text)
}
