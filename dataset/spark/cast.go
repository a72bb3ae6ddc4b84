package spark

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/parquet"
)

// HasText reports whether the type has a text form, so that AppendString and ParseString work.
func (l *Leaf) HasText() bool { return l.kind != kindInterval }

// AppendString appends Spark's CAST(v AS STRING) of one value, v as it lies in a column.Values. It
// may append the bytes of v themselves (strings and binary), whatever they are.
//
// Floating-point numbers follow Double.toString and Float.toString of JDK 19 and later: the shortest
// decimal that reads back as the same number. Older JDKs print a digit more for some numbers.
func (l *Leaf) AppendString(dst, v []byte) ([]byte, error) {
	switch l.kind {
	case kindBool:
		return strconv.AppendBool(dst, v[0] != 0), nil
	case kindInt8, kindInt16, kindUint8:
		return strconv.AppendInt(dst, int64(l.int32At(v)), 10), nil
	case kindInt32, kindUint32, kindInt64:
		return strconv.AppendInt(dst, l.integer(v), 10), nil
	case kindUint64:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(v), 10), nil
	case kindFloat, kindFloat16:
		return appendJavaFloat(dst, float64(l.float32At(v)), 32), nil
	case kindDouble:
		return appendJavaFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(v)), 64), nil
	case kindDecimal:
		return l.appendDecimal(dst, v), nil
	case kindDate:
		return appendDate(dst, l.integer(v)), nil
	case kindTimestamp:
		return appendTimestamp(dst, l.integer(v), l.unit), nil
	case kindInt96:
		return appendTimestamp(dst, int96Micros(v), 1_000_000), nil
	case kindTime:
		return appendClock(dst, l.integer(v), l.unit), nil
	case kindBytes:
		return append(dst, v...), nil
	case kindUUID:
		return appendUUID(dst, v), nil
	}
	return dst, unsupported(l.column, "has no text form")
}

// appendDecimal prints without an exponent, as Spark does in ANSI mode, with all digits of the scale.
func (l *Leaf) appendDecimal(dst, v []byte) []byte {
	var digits []byte
	var scratch [48]byte
	physical := l.column.PhysicalType()
	if physical == parquet.Types.Int32 || physical == parquet.Types.Int64 || len(v) <= 8 {
		digits = strconv.AppendInt(scratch[:0], l.integer(v), 10)
	} else {
		digits = bigFromBytes(v).Append(scratch[:0], 10)
	}
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if l.scale <= 0 {
		dst = append(dst, digits...)
		if digits[0] == '0' {
			return dst
		}
		return appendZeros(dst, -l.scale)
	}
	whole := len(digits) - l.scale
	if whole <= 0 {
		dst = append(dst, '0', '.')
		dst = appendZeros(dst, -whole)
		return append(dst, digits...)
	}
	dst = append(dst, digits[:whole]...)
	dst = append(dst, '.')
	return append(dst, digits[whole:]...)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// bigFromBytes reads a big-endian two's complement.
func bigFromBytes(b []byte) *big.Int {
	x := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return x
}

// appendJavaFloat prints as Java does: plain from 1e-3 to below 1e7, else with an exponent, always with
// at least one digit after the point.
func appendJavaFloat(dst []byte, f float64, bitSize int) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if math.Signbit(f) {
		dst, f = append(dst, '-'), -f
	}
	if f == 0 {
		return append(dst, "0.0"...)
	}
	digits, exp := javaDigits(f, bitSize)
	switch {
	case exp >= 7 || exp < -3:
		dst = append(dst, digits[0], '.')
		dst = appendFraction(dst, digits[1:])
		dst = append(dst, 'E')
		return strconv.AppendInt(dst, int64(exp), 10)
	case exp < 0:
		dst = append(dst, '0', '.')
		dst = appendZeros(dst, -exp-1)
		return append(dst, digits...)
	case len(digits) <= exp+1:
		dst = append(dst, digits...)
		dst = appendZeros(dst, exp+1-len(digits))
		return append(dst, '.', '0')
	}
	dst = append(dst, digits[:exp+1]...)
	dst = append(dst, '.')
	return append(dst, digits[exp+1:]...)
}

func appendFraction(dst []byte, digits string) []byte {
	if digits == "" {
		digits = "0"
	}
	return append(dst, digits...)
}

// javaDigits returns the significant digits of f and the decimal exponent of the first. Java prints
// two digits at least, so where one would do, it takes the two that are nearest to f (4.9E-324).
func javaDigits(f float64, bitSize int) (string, int) {
	text := strconv.FormatFloat(f, 'e', -1, bitSize)
	if text[1] == 'e' {
		two := strconv.FormatFloat(f, 'e', 1, bitSize)
		if back, err := strconv.ParseFloat(two, bitSize); err == nil && back == f && two[2] != '0' {
			text = two
		}
	}
	digits := text[:1]
	e := 1
	if text[1] == '.' {
		for e = 2; text[e] != 'e'; e++ {
		}
		digits += text[2:e]
	}
	exp, err := strconv.Atoi(text[e+1:])
	if err != nil {
		panic("spark: strconv printed the exponent of a float as " + text) // cannot happen
	}
	return digits, exp
}

func appendUUID(dst, v []byte) []byte {
	for i, c := range v {
		switch i {
		case 4, 6, 8, 10:
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, []byte{c})
	}
	return dst
}
