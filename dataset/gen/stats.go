package gen

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// extremes holds the least and the greatest value of a column chunk, in the PLAIN encoding without
// a length. They are read from finished pages: those are still in the cache, and no column has
// to care. The zero value has seen nothing.
type extremes struct {
	min, max []byte
}

// add takes the values of a page, or of a dictionary, in PLAIN encoding.
func (e *extremes) add(t parquet.Type, plain []byte, n int) {
	if n == 0 {
		return
	}
	switch t {
	case parquet.Types.Boolean:
		e.addBooleans(plain, n)
	case parquet.Types.Int32:
		e.addInt32(plain)
	case parquet.Types.Int64:
		e.addInt64(plain)
	case parquet.Types.Double:
		e.addDoubles(plain)
	default:
		e.addTexts(plain)
	}
}

// encode makes the statistics of a chunk with so many nulls.
func (e *extremes) encode(t parquet.Type, nulls int64) metadata.EncodedStatistics {
	st := metadata.EncodedStatistics{
		HasNullCount: true, NullCount: nulls,
		Signed: t != parquet.Types.ByteArray,
	}
	if e.min != nil {
		st.SetMin(e.min)
		st.SetMax(e.max)
	}
	return st
}

func (e *extremes) addBooleans(packed []byte, n int) {
	set := ones(packed)
	lo, hi := byte(0), byte(1)
	if set == n {
		lo = 1
	}
	if set == 0 {
		hi = 0
	}
	if e.min != nil {
		lo, hi = min(lo, e.min[0]), max(hi, e.max[0])
	}
	e.min, e.max = []byte{lo}, []byte{hi}
}

func (e *extremes) addInt32(plain []byte) {
	lo, hi := int32(math.MaxInt32), int32(math.MinInt32)
	if e.min != nil {
		lo, hi = int32(binary.LittleEndian.Uint32(e.min)), int32(binary.LittleEndian.Uint32(e.max))
	}
	for ; len(plain) >= 4; plain = plain[4:] {
		v := int32(binary.LittleEndian.Uint32(plain))
		lo, hi = min(lo, v), max(hi, v)
	}
	e.min = binary.LittleEndian.AppendUint32(nil, uint32(lo))
	e.max = binary.LittleEndian.AppendUint32(nil, uint32(hi))
}

func (e *extremes) addInt64(plain []byte) {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	if e.min != nil {
		lo, hi = int64(binary.LittleEndian.Uint64(e.min)), int64(binary.LittleEndian.Uint64(e.max))
	}
	for ; len(plain) >= 8; plain = plain[8:] {
		v := int64(binary.LittleEndian.Uint64(plain))
		lo, hi = min(lo, v), max(hi, v)
	}
	e.min = binary.LittleEndian.AppendUint64(nil, uint64(lo))
	e.max = binary.LittleEndian.AppendUint64(nil, uint64(hi))
}

// addDoubles expects no NaN. A minimum of zero is written as -0.0 and a maximum as +0.0, as the
// format asks of writers, because a reader cannot know which zeros it will meet.
func (e *extremes) addDoubles(plain []byte) {
	lo, hi := math.Inf(1), math.Inf(-1)
	if e.min != nil {
		lo = math.Float64frombits(binary.LittleEndian.Uint64(e.min))
		hi = math.Float64frombits(binary.LittleEndian.Uint64(e.max))
	}
	for ; len(plain) >= 8; plain = plain[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(plain))
		// Not min and max: those also order NaN and the zeros, at five times the cost.
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	if lo == 0 {
		lo = math.Copysign(0, -1)
	}
	if hi == 0 {
		hi = 0
	}
	e.min = binary.LittleEndian.AppendUint64(nil, math.Float64bits(lo))
	e.max = binary.LittleEndian.AppendUint64(nil, math.Float64bits(hi))
}

// addTexts compares as unsigned bytes, which is UTF-8's own order.
func (e *extremes) addTexts(plain []byte) {
	lo, hi := e.min, e.max
	for len(plain) > 0 {
		size := 4 + binary.LittleEndian.Uint32(plain)
		v := plain[4:size]
		plain = plain[size:]
		if lo == nil {
			lo, hi = v, v
			continue
		}
		if bytes.Compare(v, lo) < 0 {
			lo = v
		} else if bytes.Compare(v, hi) > 0 {
			hi = v
		}
	}
	// The page's buffer is used again, and a footer's builder keeps what it is given.
	e.min, e.max = bytes.Clone(lo), bytes.Clone(hi)
}
