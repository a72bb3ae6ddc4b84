// Package parquettest gives tests whole small Parquet files as column vectors.
package parquettest

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// Read returns the schema of a file and one indexed vector per leaf that holds all its rows.
func Read(t testing.TB, path string) (*schema.Schema, []*column.Vector) {
	t.Helper()
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	sc := r.MetaData().Schema
	vecs := make([]*column.Vector, sc.NumColumns())
	for i := range vecs {
		v := column.New(sc.Column(i))
		for g := range r.NumRowGroups() {
			cr, err := r.RowGroup(g).Column(i)
			if err != nil {
				t.Fatal(err)
			}
			readChunk(t, cr, v)
			v.Rows += int(r.RowGroup(g).NumRows())
		}
		if err := v.Check(); err != nil {
			t.Fatal(err)
		}
		v.Index()
		vecs[i] = v
	}
	return sc, vecs
}

// Vector returns an indexed vector of a flat leaf with one value per row, nil for null. Values are in
// the form of column.Values.
func Vector(t testing.TB, leaf *schema.Column, rows ...[]byte) *column.Vector {
	t.Helper()
	v := column.New(leaf)
	v.Rows = len(rows)
	for _, b := range rows {
		if leaf.MaxDefinitionLevel() > 0 {
			def := int16(0)
			if b != nil {
				def = leaf.MaxDefinitionLevel()
			}
			v.Def = append(v.Def, def)
		}
		if b != nil {
			v.Values.AppendBytes(b)
		}
	}
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	v.Index()
	return v
}

const batch = 1 << 12

func readChunk(t testing.TB, cr file.ColumnChunkReader, v *column.Vector) {
	t.Helper()
	switch cr := cr.(type) {
	case *file.BooleanColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(b bool) []byte {
			if b {
				return []byte{1}
			}
			return []byte{0}
		})
	case *file.Int32ColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(x)) })
	case *file.Int64ColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(x)) })
	case *file.Int96ColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x parquet.Int96) []byte { return x[:] })
	case *file.Float32ColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)) })
	case *file.Float64ColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(x)) })
	case *file.ByteArrayColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x parquet.ByteArray) []byte { return x })
	case *file.FixedLenByteArrayColumnChunkReader:
		readValues(t, cr, v, cr.ReadBatch, func(x parquet.FixedLenByteArray) []byte { return x })
	default:
		t.Fatalf("column %s: reader %T", v.Leaf.Path(), cr)
	}
}

func readValues[T any](t testing.TB, cr file.ColumnChunkReader, v *column.Vector,
	read func(int64, []T, []int16, []int16) (int64, int, error), plain func(T) []byte,
) {
	t.Helper()
	var values [batch]T
	var def, rep [batch]int16
	for cr.HasNext() {
		levels, n, err := read(batch, values[:], def[:], rep[:])
		if err != nil {
			t.Fatal(err)
		}
		if v.Leaf.MaxDefinitionLevel() > 0 {
			v.Def = append(v.Def, def[:levels]...)
		}
		if v.Leaf.MaxRepetitionLevel() > 0 {
			v.Rep = append(v.Rep, rep[:levels]...)
		}
		for _, x := range values[:n] {
			v.Values.AppendBytes(plain(x))
		}
	}
	if err := cr.Err(); err != nil {
		t.Fatal(err)
	}
}
