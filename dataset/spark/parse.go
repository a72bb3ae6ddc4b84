package spark

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/google/uuid"

	"github.com/sluice-engine/sluice/model"
)

// ParseString appends the value whose text is given, in the form in which it lies in a column.Values:
// the inverse of AppendString, for values that came back as the name of a directory. Values that
// AppendString prints alike (the NaNs, INT96 below the microsecond) come back as one of them with
// the same hash. The error is a *model.Failure of ReasonInput that names column, type and text.
func (l *Leaf) ParseString(dst []byte, text string) ([]byte, error) {
	out, ok := l.parse(dst, text)
	if !ok {
		return dst, model.Failf(model.ReasonInput, "column %s: %q is not a value of its type %s (%s)",
			l.column.Path(), shorten(text), l.column.PhysicalType(), l.column.LogicalType())
	}
	return out, nil
}

func (l *Leaf) parse(dst []byte, text string) ([]byte, bool) {
	switch l.kind {
	case kindBool:
		switch text {
		case "true":
			return append(dst, 1), true
		case "false":
			return append(dst, 0), true
		}
		return nil, false
	case kindInt8:
		return l.parseInt(dst, text, math.MinInt8, math.MaxInt8)
	case kindInt16, kindUint8:
		return l.parseInt(dst, text, math.MinInt16, math.MaxInt16)
	case kindInt32:
		return l.parseInt(dst, text, math.MinInt32, math.MaxInt32)
	case kindUint32:
		return l.parseInt(dst, text, 0, math.MaxUint32)
	case kindInt64:
		return l.parseInt(dst, text, math.MinInt64, math.MaxInt64)
	case kindUint64:
		v, err := strconv.ParseUint(text, 10, 64)
		return binary.LittleEndian.AppendUint64(dst, v), err == nil
	case kindFloat, kindFloat16:
		return l.parseFloat(dst, text)
	case kindDouble:
		v, err := strconv.ParseFloat(text, 64)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), err == nil
	case kindDecimal:
		return l.parseDecimal(dst, text)
	case kindBytes:
		if n := l.column.TypeLength(); l.column.PhysicalType() == parquet.Types.FixedLenByteArray && n != len(text) {
			return nil, false
		}
		return append(dst, text...), true
	case kindUUID:
		v, err := uuid.Parse(text)
		return append(dst, v[:]...), err == nil
	}
	return l.parseInstant(dst, text)
}

func (l *Leaf) parseInstant(dst []byte, text string) ([]byte, bool) {
	switch l.kind {
	case kindDate:
		v, ok := parseDate(text)
		if !ok || v < math.MinInt32 || v > math.MaxInt32 {
			return nil, false
		}
		return l.appendInteger(dst, v), true
	case kindTimestamp:
		v, ok := parseTimestamp(text, l.unit)
		return l.appendInteger(dst, v), ok
	case kindTime:
		v, ok := parseClock(text, l.unit)
		if l.column.PhysicalType() == parquet.Types.Int32 && v != int64(int32(v)) {
			return nil, false
		}
		return l.appendInteger(dst, v), ok
	case kindInt96:
		v, ok := parseTimestamp(text, 1_000_000)
		day := floorDiv(v, 86_400_000_000)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v-day*86_400_000_000)*1000)
		return binary.LittleEndian.AppendUint32(dst, uint32(day+julianEpoch)), ok
	}
	return nil, false
}

// appendInteger appends v in the leaf's width of 4 or 8 bytes.
func (l *Leaf) appendInteger(dst []byte, v int64) []byte {
	if l.column.PhysicalType() == parquet.Types.Int32 {
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

func (l *Leaf) parseInt(dst []byte, text string, lo, hi int64) ([]byte, bool) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < lo || v > hi {
		return nil, false
	}
	return l.appendInteger(dst, v), true
}

func (l *Leaf) parseFloat(dst []byte, text string) ([]byte, bool) {
	v, err := strconv.ParseFloat(text, 32)
	if err != nil {
		return nil, false
	}
	if l.kind == kindFloat {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v))), true
	}
	h, ok := floatToHalf(float32(v))
	return binary.LittleEndian.AppendUint16(dst, h), ok
}

// floatToHalf finds the half that widens to f; ok is false when there is none. It is used for a few
// directory names only, so it looks through the halves of f's sign in order of size.
func floatToHalf(f float32) (h uint16, ok bool) {
	if f != f {
		return 0x7e00, true
	}
	sign := uint16(0)
	if math.Signbit(float64(f)) {
		sign, f = 0x8000, -f
	}
	lo, hi := uint16(0), uint16(0x7c00) // infinity is the largest
	for lo < hi {
		mid := lo + (hi-lo)/2
		if halfToFloat(mid) < f {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo | sign, halfToFloat(lo) == f
}

// maxDecimalText bounds the text of a decimal: sign, point and more digits than any type has.
const maxDecimalText = 512

func (l *Leaf) parseDecimal(dst []byte, text string) ([]byte, bool) {
	if len(text) > maxDecimalText {
		return nil, false
	}
	body := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if len(text)-len(body) > 1 {
		return nil, false
	}
	whole, fraction, _ := strings.Cut(body, ".")
	scale := max(l.scale, 0)
	for len(fraction) > scale && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if whole+fraction == "" || len(fraction) > scale {
		return nil, false
	}
	digits := whole + fraction + strings.Repeat("0", scale-len(fraction))
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return nil, false
		}
	}
	x, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return nil, false
	}
	if l.scale < 0 {
		var rest big.Int
		x.QuoRem(x, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-l.scale)), nil), &rest)
		if rest.Sign() != 0 {
			return nil, false
		}
	}
	if text[0] == '-' {
		x.Neg(x)
	}
	return l.appendUnscaled(dst, x)
}

// appendUnscaled stores the unscaled number in the leaf's physical type.
func (l *Leaf) appendUnscaled(dst []byte, x *big.Int) ([]byte, bool) {
	switch l.column.PhysicalType() {
	case parquet.Types.Int32:
		v := x.Int64()
		return l.appendInteger(dst, v), x.IsInt64() && v == int64(int32(v))
	case parquet.Types.Int64:
		return l.appendInteger(dst, x.Int64()), x.IsInt64()
	}
	// One bit more than the magnitude for the sign; -2^k needs no more than k bits and the sign.
	size := (x.BitLen() + 8) / 8
	if l.column.PhysicalType() == parquet.Types.FixedLenByteArray {
		n := l.column.TypeLength()
		if size > n {
			if size > n+1 || x.Sign() >= 0 || x.TrailingZeroBits() != uint(n*8-1) {
				return nil, false
			}
		}
		size = n
	}
	y := new(big.Int).Set(x)
	if x.Sign() < 0 {
		y.Add(y, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	start := len(dst)
	dst = append(dst, make([]byte, size)...)
	y.FillBytes(dst[start:])
	return dst, true
}

// shorten keeps error messages to one line.
func shorten(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%s... (%d bytes)", s[:64], len(s))
	}
	return s
}
