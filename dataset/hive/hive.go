// Package hive names the directories of a partitioned data set as Hive and Spark do: "column=value".
package hive

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/model"
)

// DefaultPartition is the value part of the directory that holds the rows whose partition value is
// null or "".
const DefaultPartition = "__HIVE_DEFAULT_PARTITION__"

// MaxName is the longest name of a directory, in bytes, that file systems take.
const MaxName = 255

const hexDigits = "0123456789ABCDEF"

// escaped holds the characters that Spark escapes
// (org.apache.spark.sql.catalyst.catalog.ExternalCatalogUtils); NUL never gets this far.
var escaped = func() (set [utf8.RuneSelf]bool) {
	for c := range 0x20 {
		set[c] = true
	}
	for _, c := range "\"#%'*/:=?\\{[]^\x7f" {
		set[c] = true
	}
	return set
}()

// AppendEscaped appends s with the bytes that cannot stand in a directory name as %XX, as Spark writes
// them. Bytes that are not valid UTF-8, which Spark cannot keep, are written as %XX too: so the
// result is always valid UTF-8 and different values have different names.
func AppendEscaped(dst, s []byte) []byte {
	for len(s) > 0 {
		c := s[0]
		if c < utf8.RuneSelf {
			if escaped[c] {
				dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
			} else {
				dst = append(dst, c)
			}
			s = s[1:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return dst
}

// Dir returns the name of the directory of one partition value: Spark's, but for two names. The
// literal text __HIVE_DEFAULT_PARTITION__ is written as %5F_HIVE_DEFAULT_PARTITION__, so that it does not
// come back as null; and a column whose name begins with '.' gets a %2E, because readers skip hidden
// names. A value of "" is null, as in Hive.
//
// The error is a *model.Failure of ReasonUser: no file system takes the name.
func Dir(column string, value []byte, null bool) (string, error) {
	if column == "" {
		return "", model.Failf(model.ReasonUser, "a partition column needs a name")
	}
	if strings.IndexByte(column, 0) >= 0 || !null && bytes.IndexByte(value, 0) >= 0 {
		return "", model.Failf(model.ReasonUser, "partition column %q: value %q contains a NUL byte, which no directory name can: "+
			"partition by another column", column, clip(value))
	}
	name := make([]byte, 0, len(column)+1+max(len(value), len(DefaultPartition)))
	if column[0] == '.' {
		name = append(name, "%2E"...)
		name = AppendEscaped(name, []byte(column[1:]))
	} else {
		name = AppendEscaped(name, []byte(column))
	}
	name = append(name, '=')
	switch {
	case null || len(value) == 0:
		name = append(name, DefaultPartition...)
	case string(value) == DefaultPartition:
		name = append(name, "%5F"...)
		name = append(name, DefaultPartition[1:]...)
	default:
		name = AppendEscaped(name, value)
	}
	if len(name) > MaxName {
		return "", model.Failf(model.ReasonUser, "partition column %q: value %q makes a directory name of %d bytes, and file systems "+
			"take %d: partition by another column", column, clip(value), len(name), MaxName)
	}
	return string(name), nil
}

// ParseDir reads a directory name that Dir, Spark or Hive wrote; ok is false when it is not of the
// form column=value. A '%' without two hexadecimal digits stands for itself. The text may hold any
// byte, '/' and NUL included: it is a value, and never to be used as a path.
func ParseDir(dir string) (column, value string, null, ok bool) {
	column, value, ok = strings.Cut(dir, "=")
	if !ok || column == "" || strings.IndexByte(dir, '/') >= 0 {
		return "", "", false, false
	}
	if value == DefaultPartition {
		return unescape(column), "", true, true
	}
	return unescape(column), unescape(value), false, true
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := nibble(s[i+1])
			lo, ok2 := nibble(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// clip keeps a value in an error message to one line.
func clip(v []byte) string {
	if len(v) > 64 {
		return string(v[:64]) + "..."
	}
	return string(v)
}
