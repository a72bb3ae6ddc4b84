// Package column holds the values of one Parquet leaf for a batch of rows: levels and values, the
// form in which every byte of payload crosses Sluice.
//
// A leaf is kept as it lies in a page: definition levels, repetition levels and the values that
// are present, packed. No Arrow array is built, so physical types, list names and field ids survive.
package column

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Values are the present (non-null) values of a leaf, packed.
//
// Fixed-width values (Width > 0) lie in Data one after another in little-endian PLAIN form; a
// boolean takes one byte, 0 or 1. Byte arrays (Width == 0) lie in Data back to back without
// lengths; value i is Data[Offsets[i]:Offsets[i+1]], and len(Offsets) is the number of values + 1
// (or 0 when there are none).
type Values struct {
	Width   int
	Data    []byte
	Offsets []uint32
}

// Len is the number of values.
func (v *Values) Len() int {
	if v.Width > 0 {
		return len(v.Data) / v.Width
	}
	return max(len(v.Offsets)-1, 0)
}

// At returns the bytes of value i. They belong to the vector and are valid until it is reset.
func (v *Values) At(i int) []byte {
	if v.Width > 0 {
		return v.Data[i*v.Width : (i+1)*v.Width : (i+1)*v.Width]
	}
	return v.Data[v.Offsets[i]:v.Offsets[i+1]:v.Offsets[i+1]]
}

// Uint32 and Uint64 return value i of a leaf of that width.
func (v *Values) Uint32(i int) uint32 { return binary.LittleEndian.Uint32(v.Data[i*4:]) }

// Uint64 returns value i of a leaf whose values are 8 bytes wide.
func (v *Values) Uint64(i int) uint64 { return binary.LittleEndian.Uint64(v.Data[i*8:]) }

// AppendBytes adds one value, copying it.
func (v *Values) AppendBytes(b []byte) {
	if v.Width == 0 && len(v.Offsets) == 0 {
		v.Offsets = append(v.Offsets, 0)
	}
	v.Data = append(v.Data, b...)
	if v.Width == 0 {
		v.Offsets = append(v.Offsets, uint32(len(v.Data)))
	}
}

// Reset empties the values and keeps the buffers.
func (v *Values) Reset() { v.Data, v.Offsets = v.Data[:0], v.Offsets[:0] }

// Vector is one leaf of a batch of rows.
//
// Invariants: Def is nil iff the leaf's maximum definition level is 0, else it has one entry per
// level; Rep is nil iff the maximum repetition level is 0. A value is present where the definition
// level is the maximum. A row begins where the repetition level is 0. A vector has at most 2^31-1
// levels and 2^32-1 bytes of values.
//
// A vector is owned by one goroutine; readers fill it again and again.
type Vector struct {
	Leaf   *schema.Column
	Rows   int
	Def    []int16
	Rep    []int16
	Values Values

	// rowLevel and rowValue are filled by Index: where row i's levels and values begin.
	rowLevel []int32
	rowValue []int32
}

// New returns an empty vector for a leaf.
func New(leaf *schema.Column) *Vector {
	return &Vector{Leaf: leaf, Values: Values{Width: Width(leaf)}}
}

// Width is the number of bytes of a value of the leaf, 0 for byte arrays, 1 for booleans.
func Width(leaf *schema.Column) int {
	switch leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return 1
	case parquet.Types.Int32, parquet.Types.Float:
		return 4
	case parquet.Types.Int64, parquet.Types.Double:
		return 8
	case parquet.Types.Int96:
		return 12
	case parquet.Types.FixedLenByteArray:
		return leaf.TypeLength()
	}
	return 0
}

// Reset empties the vector and keeps its buffers.
func (v *Vector) Reset() {
	v.Rows = 0
	v.Def, v.Rep = v.Def[:0], v.Rep[:0]
	v.Values.Reset()
	v.rowLevel, v.rowValue = v.rowLevel[:0], v.rowValue[:0]
}

// NumLevels is the number of level entries: the rows of a leaf that is not repeated.
func (v *Vector) NumLevels() int {
	switch {
	case v.Leaf.MaxDefinitionLevel() > 0:
		return len(v.Def)
	default:
		return v.Values.Len()
	}
}

// Index computes where each row's levels and values begin. It must be called after the vector was
// filled and before Levels, ValueRange or Present; it costs nothing for required flat leaves.
func (v *Vector) Index() {
	v.rowLevel, v.rowValue = v.rowLevel[:0], v.rowValue[:0]
	maxDef := v.Leaf.MaxDefinitionLevel()
	if maxDef == 0 {
		return
	}
	repeated := v.Leaf.MaxRepetitionLevel() > 0
	n := int32(0)
	for i, d := range v.Def {
		if !repeated || v.Rep[i] == 0 {
			if repeated {
				v.rowLevel = append(v.rowLevel, int32(i))
			}
			v.rowValue = append(v.rowValue, n)
		}
		if d == maxDef {
			n++
		}
	}
	if repeated {
		v.rowLevel = append(v.rowLevel, int32(len(v.Def)))
	}
	v.rowValue = append(v.rowValue, n)
}

// LevelRange returns the range of level entries of row i.
func (v *Vector) LevelRange(i int) (from, to int) {
	if len(v.rowLevel) == 0 {
		return i, i + 1
	}
	return int(v.rowLevel[i]), int(v.rowLevel[i+1])
}

// ValueRange returns the range of values of row i.
func (v *Vector) ValueRange(i int) (from, to int) {
	if len(v.rowValue) == 0 {
		return i, i + 1
	}
	return int(v.rowValue[i]), int(v.rowValue[i+1])
}

// Value returns the value of row i of a leaf that is not repeated, and false for null.
func (v *Vector) Value(i int) ([]byte, bool) {
	from, to := v.ValueRange(i)
	if from == to {
		return nil, false
	}
	return v.Values.At(from), true
}

// Check verifies the invariants of a filled vector; readers call it on data from outside.
func (v *Vector) Check() error {
	maxDef, maxRep := v.Leaf.MaxDefinitionLevel(), v.Leaf.MaxRepetitionLevel()
	present, rows := 0, 0
	if maxDef == 0 {
		present, rows = v.Rows, v.Rows
	} else {
		for i, d := range v.Def {
			if d < 0 || d > maxDef {
				return fmt.Errorf("column %s: definition level %d above %d", v.Leaf.Path(), d, maxDef)
			}
			if d == maxDef {
				present++
			}
			if maxRep == 0 {
				rows++
			} else if r := v.Rep[i]; r < 0 || r > maxRep {
				return fmt.Errorf("column %s: repetition level %d above %d", v.Leaf.Path(), r, maxRep)
			} else if r == 0 {
				rows++
			}
		}
		if maxRep > 0 && len(v.Def) > 0 && v.Rep[0] != 0 {
			return fmt.Errorf("column %s: the first row does not begin at repetition level 0", v.Leaf.Path())
		}
	}
	if maxRep > 0 && len(v.Rep) != len(v.Def) {
		return fmt.Errorf("column %s: %d repetition levels for %d definition levels", v.Leaf.Path(), len(v.Rep), len(v.Def))
	}
	if rows != v.Rows || present != v.Values.Len() {
		return fmt.Errorf("column %s: %d rows and %d values where the levels say %d and %d",
			v.Leaf.Path(), v.Rows, v.Values.Len(), rows, present)
	}
	return nil
}
