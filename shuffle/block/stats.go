package block

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// order is how the values of a leaf are compared for minimum and maximum: ColumnOrder
// TypeDefinedOrder of parquet.thrift.
type order uint8

const (
	orderNone order = iota // INT96, INTERVAL and what we do not know
	orderBool
	orderInt32
	orderUint32
	orderInt64
	orderUint64
	orderFloat16
	orderFloat
	orderDouble
	orderBytes   // unsigned byte by byte
	orderDecimal // two's complement, big endian
)

// orderOf returns the order of a leaf's logical type.
func orderOf(leaf *schema.Column) order {
	sort := leaf.SortOrder()
	if sort == schema.SortUNKNOWN {
		return orderNone
	}
	unsigned := sort == schema.SortUNSIGNED
	pick := func(signed, other order) order {
		if unsigned {
			return other
		}
		return signed
	}
	switch leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return orderBool
	case parquet.Types.Int32:
		return pick(orderInt32, orderUint32)
	case parquet.Types.Int64:
		return pick(orderInt64, orderUint64)
	case parquet.Types.Float:
		return orderFloat
	case parquet.Types.Double:
		return orderDouble
	case parquet.Types.ByteArray, parquet.Types.FixedLenByteArray:
		if _, ok := leaf.LogicalType().(schema.Float16LogicalType); ok {
			return orderFloat16
		}
		return pick(orderDecimal, orderBytes)
	}
	return orderNone
}

// minMax returns copies of the smallest and the largest value of vals, which are PLAIN, booleans a
// byte each; byte arrays (width 0) come back without their length. It returns nil for both if there
// is no value, no order, or one is longer than MaxStatBytes.
//
// Of floating point numbers NaN does not count, and a zero is made -0 as the minimum and +0 as the
// maximum, as parquet.thrift asks (ColumnOrder).
func minMax(o order, width int, vals []byte) (lo, hi []byte) {
	if len(vals) == 0 {
		return nil, nil
	}
	switch o {
	case orderNone:
		return nil, nil
	case orderBool:
		lo, hi = []byte{1}, []byte{0}
		if bytes.IndexByte(vals, 0) >= 0 {
			lo = []byte{0}
		}
		if bytes.IndexByte(vals, 1) >= 0 {
			hi = []byte{1}
		}
		return lo, hi
	case orderInt32, orderUint32, orderFloat:
		return minMax32(o, vals)
	case orderInt64, orderUint64, orderDouble:
		return minMax64(o, vals)
	case orderFloat16:
		return minMax16(vals)
	case orderDecimal:
		lo, hi = minMaxFunc(width, vals, compareDecimal)
	default:
		lo, hi = minMaxBytes(width, vals)
	}
	if len(lo) > MaxStatBytes || len(hi) > MaxStatBytes {
		return nil, nil
	}
	return pair(lo, hi)
}

// pair copies two values into one allocation.
func pair(lo, hi []byte) ([]byte, []byte) {
	b := make([]byte, 0, len(lo)+len(hi))
	b = append(append(b, lo...), hi...)
	return b[:len(lo):len(lo)], b[len(lo):]
}

// The numeric versions compare keys: the bits of a number, changed so that their unsigned order is
// the order of the numbers.

func minMax32(o order, vals []byte) (lo, hi []byte) {
	const sign = 1 << 31
	var flip uint32 = sign
	if o == orderUint32 {
		flip = 0
	}
	kmin, kmax, found := uint32(math.MaxUint32), uint32(0), false
	for ; len(vals) >= 4; vals = vals[4:] {
		k := binary.LittleEndian.Uint32(vals)
		if o == orderFloat {
			if k&^sign > 0x7f800000 { // NaN
				continue
			}
			k = uint32(floatKey(uint64(k), sign, math.MaxUint32))
		} else {
			k ^= flip
		}
		kmin, kmax, found = min(kmin, k), max(kmax, k), true
	}
	if !found {
		return nil, nil
	}
	if o == orderFloat {
		return pair(binary.LittleEndian.AppendUint32(nil, uint32(floatOfKey(uint64(kmin), sign, math.MaxUint32, true))),
			binary.LittleEndian.AppendUint32(nil, uint32(floatOfKey(uint64(kmax), sign, math.MaxUint32, false))))
	}
	return pair(binary.LittleEndian.AppendUint32(nil, kmin^flip), binary.LittleEndian.AppendUint32(nil, kmax^flip))
}

func minMax64(o order, vals []byte) (lo, hi []byte) {
	const sign = 1 << 63
	var flip uint64 = sign
	if o == orderUint64 {
		flip = 0
	}
	kmin, kmax, found := uint64(math.MaxUint64), uint64(0), false
	for ; len(vals) >= 8; vals = vals[8:] {
		k := binary.LittleEndian.Uint64(vals)
		if o == orderDouble {
			if k&^sign > 0x7ff0000000000000 { // NaN
				continue
			}
			k = floatKey(k, sign, math.MaxUint64)
		} else {
			k ^= flip
		}
		kmin, kmax, found = min(kmin, k), max(kmax, k), true
	}
	if !found {
		return nil, nil
	}
	if o == orderDouble {
		return pair(binary.LittleEndian.AppendUint64(nil, floatOfKey(kmin, sign, math.MaxUint64, true)),
			binary.LittleEndian.AppendUint64(nil, floatOfKey(kmax, sign, math.MaxUint64, false)))
	}
	return pair(binary.LittleEndian.AppendUint64(nil, kmin^flip), binary.LittleEndian.AppendUint64(nil, kmax^flip))
}

func minMax16(vals []byte) (lo, hi []byte) {
	const sign, all = 1 << 15, math.MaxUint16
	kmin, kmax, found := uint64(all), uint64(0), false
	for ; len(vals) >= 2; vals = vals[2:] {
		k := uint64(binary.LittleEndian.Uint16(vals))
		if k&^sign > 0x7c00 { // NaN
			continue
		}
		k = floatKey(k, sign, all)
		kmin, kmax, found = min(kmin, k), max(kmax, k), true
	}
	if !found {
		return nil, nil
	}
	return pair(binary.LittleEndian.AppendUint16(nil, uint16(floatOfKey(kmin, sign, all, true))),
		binary.LittleEndian.AppendUint16(nil, uint16(floatOfKey(kmax, sign, all, false))))
}

// floatKey orders floating point numbers: positive ones go above all negative ones, whose bits are
// turned round. -0 comes just before +0.
func floatKey(x, sign, all uint64) uint64 {
	if x&sign != 0 {
		return x ^ all
	}
	return x | sign
}

// floatOfKey is the inverse of floatKey; a zero comes back as -0 for a minimum, +0 for a maximum.
func floatOfKey(k, sign, all uint64, isMin bool) uint64 {
	x := k ^ all
	if k&sign != 0 {
		x = k ^ sign
	}
	if x&^sign == 0 {
		x = 0
		if isMin {
			x = sign
		}
	}
	return x
}

// minMaxBytes compares byte by byte. Most comparisons are decided by the first eight bytes.
func minMaxBytes(width int, vals []byte) (lo, hi []byte) {
	lo, vals = nextPlain(width, vals)
	hi = lo
	loKey, hiKey := prefix(lo), prefix(lo)
	for len(vals) > 0 {
		var v []byte
		v, vals = nextPlain(width, vals)
		k := prefix(v)
		switch {
		case k < loKey || k == loKey && bytes.Compare(v, lo) < 0:
			lo, loKey = v, k
		case k > hiKey || k == hiKey && bytes.Compare(v, hi) > 0:
			hi, hiKey = v, k
		}
	}
	return lo, hi
}

func minMaxFunc(width int, vals []byte, compare func(a, b []byte) int) (lo, hi []byte) {
	lo, vals = nextPlain(width, vals)
	hi = lo
	for len(vals) > 0 {
		var v []byte
		v, vals = nextPlain(width, vals)
		if compare(v, lo) < 0 {
			lo = v
		} else if compare(v, hi) > 0 {
			hi = v
		}
	}
	return lo, hi
}

// nextPlain cuts the first value off vals, which an encoder made.
func nextPlain(width int, vals []byte) (v, rest []byte) {
	if width > 0 {
		return vals[:width], vals[width:]
	}
	n := 4 + int(binary.LittleEndian.Uint32(vals))
	return vals[4:n], vals[n:]
}

// prefix is the first eight bytes as a number, filled up with zeros: if a sorts before b, then
// prefix(a) <= prefix(b).
func prefix(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var t [8]byte
	copy(t[:], b)
	return binary.BigEndian.Uint64(t[:])
}

// compareDecimal compares two's complement numbers, big endian, that may differ in length. No byte
// means 0.
func compareDecimal(a, b []byte) int {
	na, nb := negative(a), negative(b)
	if na != nb {
		if na {
			return -1
		}
		return 1
	}
	fill := byte(0)
	if na {
		fill = 0xff
	}
	for n := max(len(a), len(b)); n > 0; n-- {
		x, y := fill, fill
		if n <= len(a) {
			x = a[len(a)-n]
		}
		if n <= len(b) {
			y = b[len(b)-n]
		}
		if x != y {
			return int(x) - int(y)
		}
	}
	return 0
}

func negative(b []byte) bool { return len(b) > 0 && b[0] >= 0x80 }

// mergeStats returns the minimum and maximum over pages. A page that has values but no minimum may
// hold anything: then there is none for all.
func mergeStats(o order, width int, pages []Page) (lo, hi []byte) {
	var all []byte
	for i := range pages {
		p := &pages[i]
		if p.Dictionary || p.Levels == p.Nulls {
			continue
		}
		if p.Min == nil {
			return nil, nil
		}
		for _, v := range [][]byte{p.Min, p.Max} {
			if width == 0 {
				all = binary.LittleEndian.AppendUint32(all, uint32(len(v)))
			}
			all = append(all, v...)
		}
	}
	return minMax(o, width, slices.Clip(all))
}
