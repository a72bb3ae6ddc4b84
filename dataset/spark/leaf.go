package spark

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// kind is a leaf's type as Spark reads it.
type kind uint8

const (
	kindBool kind = iota
	kindInt8
	kindInt16
	kindUint8 // Spark reads it as short
	kindInt32 // and 16 bits unsigned
	kindUint32
	kindInt64
	kindUint64 // Spark reads it as decimal(20, 0)
	kindFloat
	kindDouble
	kindFloat16
	kindDecimal
	kindDate
	kindTimestamp
	kindInt96
	kindTime
	kindBytes
	kindUUID
	kindInterval
)

// form is how the hash functions see a value.
type form uint8

const (
	formInt     form = iota // 4 bytes, computed by Leaf.int32At
	formRawInt              // 4 bytes as they lie in the vector
	formLong                // 8 bytes, computed by Leaf.int64At
	formRawLong             // 8 bytes as they lie in the vector
	formFloat
	formDouble
	formBytes
	formBigInt // the shortest two's complement, big endian
)

// Leaf evaluates one leaf of a schema, value by value, whatever surrounds it. It holds no state and
// may be used by several goroutines.
type Leaf struct {
	column *schema.Column
	kind   kind
	form   form
	scale  int   // of a decimal
	unit   int64 // ticks per second of a time or timestamp
	factor int64 // formLong: ticks of Spark's unit per tick
}

// NewLeaf classifies a leaf. Spark cannot read some types of Parquet; for them:
//
//   - FLOAT16 is hashed and printed as the float of the same value;
//   - TIMESTAMP(NANOS) is hashed as the 64-bit number (as Spark does with
//     spark.sql.legacy.parquet.nanosAsLong) and printed as a timestamp with up to nine digits;
//   - TIME of any unit is hashed as nanoseconds of the day, as Spark's own TIME is;
//   - UUID is hashed as its 16 bytes and printed in the usual form with hyphens;
//   - INTERVAL is hashed as its 12 bytes and has no text form.
//
// Numbers whose factor to Spark's unit overflows 64 bits wrap around, where Spark ends the query. A
// stored number outside an annotated 8- or 16-bit type is cut to it, as Spark does.
func NewLeaf(leaf *schema.Column) (*Leaf, error) {
	l := &Leaf{column: leaf, factor: 1}
	switch leaf.PhysicalType() {
	case parquet.Types.Boolean:
		l.kind, l.form = kindBool, formInt
	case parquet.Types.Int32:
		return l, l.classifyInt32()
	case parquet.Types.Int64:
		return l, l.classifyInt64()
	case parquet.Types.Int96:
		l.kind, l.form = kindInt96, formLong
	case parquet.Types.Float:
		l.kind, l.form = kindFloat, formFloat
	case parquet.Types.Double:
		l.kind, l.form = kindDouble, formDouble
	case parquet.Types.ByteArray, parquet.Types.FixedLenByteArray:
		return l, l.classifyBytes()
	default:
		return nil, unsupported(leaf, "is not known")
	}
	return l, nil
}

func (l *Leaf) classifyInt32() error {
	l.kind, l.form = kindInt32, formRawInt
	switch t := l.column.LogicalType().(type) {
	case schema.IntLogicalType:
		switch {
		case t.BitWidth() == 8 && t.IsSigned():
			l.kind, l.form = kindInt8, formInt
		case t.BitWidth() == 16 && t.IsSigned():
			l.kind, l.form = kindInt16, formInt
		case t.BitWidth() == 8:
			l.kind, l.form = kindUint8, formInt
		case t.BitWidth() == 32 && !t.IsSigned():
			l.kind, l.form = kindUint32, formLong
		}
	case schema.DecimalLogicalType:
		l.decimal(t)
	case schema.DateLogicalType:
		l.kind = kindDate
	case schema.TimeLogicalType:
		return l.time(t.TimeUnit())
	}
	return nil
}

func (l *Leaf) classifyInt64() error {
	l.kind, l.form = kindInt64, formRawLong
	switch t := l.column.LogicalType().(type) {
	case schema.IntLogicalType:
		if !t.IsSigned() {
			l.kind, l.form = kindUint64, formBigInt
		}
	case schema.DecimalLogicalType:
		l.decimal(t)
		if l.form == formLong {
			l.form = formRawLong
		}
	case schema.TimeLogicalType:
		return l.time(t.TimeUnit())
	case schema.TimestampLogicalType:
		var err error
		l.kind = kindTimestamp
		l.unit, err = l.ticks(t.TimeUnit())
		if t.TimeUnit() == schema.TimeUnitMillis {
			l.form, l.factor = formLong, 1000
		}
		return err
	}
	return nil
}

func (l *Leaf) classifyBytes() error {
	l.kind, l.form = kindBytes, formBytes
	switch t := l.column.LogicalType().(type) {
	case schema.DecimalLogicalType:
		l.decimal(t)
	case schema.UUIDLogicalType:
		l.kind = kindUUID
		return l.wantLength(16)
	case schema.Float16LogicalType:
		l.kind, l.form = kindFloat16, formFloat
		return l.wantLength(2)
	case schema.IntervalLogicalType:
		l.kind = kindInterval
	}
	return nil
}

func (l *Leaf) wantLength(n int) error {
	if l.column.PhysicalType() != parquet.Types.FixedLenByteArray || l.column.TypeLength() != n {
		return unsupported(l.column, "has the wrong length")
	}
	return nil
}

// decimal: Spark hashes up to 18 digits as a long, by the declared precision.
func (l *Leaf) decimal(t schema.DecimalLogicalType) {
	l.kind, l.form, l.scale = kindDecimal, formLong, int(t.Scale())
	if t.Precision() > 18 {
		l.form = formBigInt
	}
}

// time: Spark keeps a time of day as nanoseconds.
func (l *Leaf) time(unit schema.TimeUnitType) error {
	var err error
	l.kind, l.form = kindTime, formLong
	if l.unit, err = l.ticks(unit); err == nil {
		l.factor = 1_000_000_000 / l.unit
	}
	return err
}

func (l *Leaf) ticks(unit schema.TimeUnitType) (int64, error) {
	switch unit {
	case schema.TimeUnitMillis:
		return 1000, nil
	case schema.TimeUnitMicros:
		return 1_000_000, nil
	case schema.TimeUnitNanos:
		return 1_000_000_000, nil
	}
	return 0, unsupported(l.column, "has an unknown unit")
}

// Column is the schema's leaf.
func (l *Leaf) Column() *schema.Column { return l.column }

// Flat reports whether the leaf is itself a top-level column with at most one value per row.
func (l *Leaf) Flat() bool {
	return len(l.column.ColumnPath()) == 1 && l.column.MaxRepetitionLevel() == 0
}

// int32At is the value of a leaf of formInt.
func (l *Leaf) int32At(b []byte) int32 {
	switch l.kind {
	case kindBool:
		if b[0] != 0 {
			return 1
		}
		return 0
	case kindInt8:
		return int32(int8(b[0]))
	case kindInt16, kindUint8:
		return int32(int16(binary.LittleEndian.Uint16(b)))
	}
	return int32(binary.LittleEndian.Uint32(b))
}

// int64At is the value of a leaf of formLong, in Spark's unit.
func (l *Leaf) int64At(b []byte) int64 {
	if l.kind == kindInt96 {
		return int96Micros(b)
	}
	return l.integer(b) * l.factor
}

// integer is the number that b holds, in the leaf's own unit; of a wide decimal the low 64 bits.
func (l *Leaf) integer(b []byte) int64 {
	switch l.column.PhysicalType() {
	case parquet.Types.Int32:
		v := binary.LittleEndian.Uint32(b)
		if l.kind == kindUint32 {
			return int64(v)
		}
		return int64(int32(v))
	case parquet.Types.Int64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	v := int64(0)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v = -1
	}
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	return v
}

// float32At is the value of a leaf of formFloat.
func (l *Leaf) float32At(b []byte) float32 {
	if l.kind == kindFloat16 {
		return halfToFloat(binary.LittleEndian.Uint16(b))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

// bigInt returns the shortest big-endian two's complement of a value of formBigInt, as Java's
// BigInteger.toByteArray does: at least one byte, and one more when the sign bit needs it. An empty
// byte array, which no writer should make, is 0. The result may alias b or buf.
func (l *Leaf) bigInt(b []byte, buf *[9]byte) []byte {
	switch l.column.PhysicalType() {
	case parquet.Types.Int32, parquet.Types.Int64:
		v := l.integer(b)
		buf[0] = byte(v >> 63)
		if l.kind == kindUint64 {
			buf[0] = 0
		}
		binary.BigEndian.PutUint64(buf[1:], uint64(v))
		b = buf[:]
	}
	if len(b) == 0 {
		buf[0] = 0
		return buf[:1]
	}
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// julianEpoch is the Julian day number of 1970-01-01.
const julianEpoch = 2440588

// int96Micros is an INT96 timestamp (nanoseconds of the day, then Julian day) in microseconds since
// 1970, rounded down, as Spark's ParquetRowConverter.binaryToSQLTimestamp has it.
func int96Micros(b []byte) int64 {
	day := int64(int32(binary.LittleEndian.Uint32(b[8:])))
	return (day-julianEpoch)*86_400_000_000 + floorDiv(int64(binary.LittleEndian.Uint64(b)), 1000)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// halfToFloat widens an IEEE 754 half.
func halfToFloat(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h>>10)&0x1f, uint32(h&0x3ff)
	switch exp {
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case 0:
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// floatBits and doubleBits make one number of both zeros and one of all NaNs, as Spark does before it
// hashes.
func floatBits(f float32) uint32 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 0x7fc00000
	}
	return math.Float32bits(f)
}

func doubleBits(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 0x7ff8000000000000
	}
	return math.Float64bits(f)
}
