package parquet

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/sluice-engine/sluice/dataset/column"
)

const (
	// sliceBatch is how many byte arrays are decoded before they are copied: their headers, 24 bytes
	// each, stay in the first-level cache.
	sliceBatch = 1024
	// maxVectorBytes bounds the values of one batch. A dictionary can make a small file hold any
	// amount.
	maxVectorBytes = 2 << 30
)

// headers are scratch space for the slice headers that arrow-go decodes byte arrays into.
type headers struct {
	bytes [sliceBatch]arrowparquet.ByteArray
	fixed [sliceBatch]arrowparquet.FixedLenByteArray
}

var headerPool sync.Pool // of *headers

// getHeaders returns scratch space with whatever was in it before.
func getHeaders() *headers {
	if h, ok := headerPool.Get().(*headers); ok {
		return h
	}
	return new(headers)
}

// read appends at least one and at most n levels, with their values, to v. All of them come from
// one page, so that byte arrays can be copied straight out of it.
func (r *LeafReader) read(v *column.Vector, n int) (int, error) {
	n = int(min(int64(n), r.levelsLeft))
	// arrow-go takes a page without values for the end of the column, once per page.
	for tries := 0; n > 0; tries++ {
		levels, err := r.readPage(v, n)
		if err != nil {
			return 0, err
		}
		if levels > 0 {
			r.levelsLeft -= int64(levels)
			return levels, nil
		}
		if err := r.cr.Err(); err != nil {
			return 0, err
		}
		if r.src.err != nil {
			return 0, r.src.err
		}
		if tries > r.src.empty {
			break
		}
	}
	total := r.file.groups[r.rg].Leaves[r.leaf].NumValues
	return 0, fmt.Errorf("it ends after %d of %d values", total-r.levelsLeft, total)
}

// readPage appends up to n levels from the current page; 0 means that it is used up.
func (r *LeafReader) readPage(v *column.Vector, n int) (int, error) {
	var def, rep []int16
	at := len(v.Def)
	if v.Leaf.MaxDefinitionLevel() > 0 {
		v.Def = slices.Grow(v.Def, n)
		def = v.Def[at : at+n]
	}
	if v.Leaf.MaxRepetitionLevel() > 0 {
		v.Rep = slices.Grow(v.Rep, n)
		rep = v.Rep[at : at+n]
	}
	levels, err := r.readValues(v, n, def, rep)
	if err != nil {
		return 0, err
	}
	if def != nil {
		v.Def = v.Def[:at+levels]
	}
	if rep != nil {
		v.Rep = v.Rep[:at+levels]
	}
	return levels, nil
}

// readValues picks the decoder once per call, not once per value.
func (r *LeafReader) readValues(v *column.Vector, n int, def, rep []int16) (int, error) {
	switch cr := r.cr.(type) {
	case *file.ByteArrayColumnChunkReader:
		return readByteArrays(cr, v, min(n, sliceBatch), def, rep)
	case *file.FixedLenByteArrayColumnChunkReader:
		return readFixed(cr, v, min(n, sliceBatch), def, rep)
	case *file.Int64ColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	case *file.Int32ColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	case *file.Float64ColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	case *file.Float32ColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	case *file.Int96ColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	case *file.BooleanColumnChunkReader:
		return readInto(cr.ReadBatchInPage, v, n, def, rep)
	}
	return 0, fmt.Errorf("arrow-go has no reader for type %s", r.col.PhysicalType())
}

// readInto decodes values of fixed width straight into the vector. Vectors hold little-endian
// values and arrow-go decodes to the machine's own; all machines that Sluice is built for are
// little-endian.
func readInto[T any](read func(int64, []T, []int16, []int16) (int64, int, error), v *column.Vector, n int, def, rep []int16) (int, error) {
	var one T
	width := int(unsafe.Sizeof(one))
	at := len(v.Values.Data)
	data := growAligned(v.Values.Data, n*width, unsafe.Alignof(one))
	free := data[at : at+n*width]
	levels, values, err := read(int64(n), unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(free))), n), def, rep)
	if err != nil {
		return 0, err
	}
	v.Values.Data = data[:at+values*width]
	return int(levels), nil
}

// growAligned makes room for n more bytes and sees to it that b begins at a multiple of align, as
// all but the very smallest allocations of Go do.
func growAligned(b []byte, n int, align uintptr) []byte {
	if cap(b)-len(b) >= n && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%align == 0 {
		return b
	}
	bigger := make([]byte, len(b), max(len(b)+n, 2*len(b), 64))
	copy(bigger, b)
	return bigger
}

func readByteArrays(cr *file.ByteArrayColumnChunkReader, v *column.Vector, n int, def, rep []int16) (int, error) {
	h := getHeaders()
	defer headerPool.Put(h)
	levels, values, err := cr.ReadBatchInPage(int64(n), h.bytes[:n], clip(def, n), clip(rep, n))
	if err != nil {
		return 0, err
	}
	got := h.bytes[:values]
	size := len(v.Values.Data)
	for _, b := range got {
		size += len(b)
	}
	if size > maxVectorBytes {
		return 0, fmt.Errorf("its values need more than %d bytes for one batch of rows", maxVectorBytes)
	}
	data := slices.Grow(v.Values.Data, size-len(v.Values.Data))
	offsets := slices.Grow(v.Values.Offsets, values+1)
	if len(offsets) == 0 && values > 0 {
		offsets = append(offsets, 0)
	}
	for _, b := range got {
		data = append(data, b...)
		offsets = append(offsets, uint32(len(data)))
	}
	v.Values.Data, v.Values.Offsets = data, offsets
	return int(levels), nil
}

func readFixed(cr *file.FixedLenByteArrayColumnChunkReader, v *column.Vector, n int, def, rep []int16) (int, error) {
	n = min(n, max(1, maxFixedWidth/v.Values.Width))
	h := getHeaders()
	defer headerPool.Put(h)
	levels, values, err := cr.ReadBatchInPage(int64(n), h.fixed[:n], clip(def, n), clip(rep, n))
	if err != nil {
		return 0, err
	}
	if len(v.Values.Data)+values*v.Values.Width > maxVectorBytes {
		return 0, fmt.Errorf("its values need more than %d bytes for one batch of rows", maxVectorBytes)
	}
	data := slices.Grow(v.Values.Data, values*v.Values.Width)
	for _, b := range h.fixed[:values] {
		if len(b) != v.Values.Width {
			return 0, fmt.Errorf("it holds a value of %d bytes where all have %d", len(b), v.Values.Width)
		}
		data = append(data, b...)
	}
	v.Values.Data = data
	return int(levels), nil
}

// clip cuts levels to n; nil, for a leaf that has none, stays nil.
func clip(levels []int16, n int) []int16 {
	if levels == nil {
		return nil
	}
	return levels[:n]
}
