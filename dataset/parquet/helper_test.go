package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/internal/vfs"
)

// memFS is a read-only file system of files in memory.
type memFS struct {
	vfs.FS
	files map[string][]byte
}

func (m memFS) Open(name string) (vfs.File, error) {
	b, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{Reader: bytes.NewReader(b), name: name}, nil
}

type memFile struct {
	*bytes.Reader
	name string
}

func (f *memFile) Write([]byte) (int, error)  { return 0, fs.ErrPermission }
func (f *memFile) Close() error               { return nil }
func (f *memFile) Sync() error                { return nil }
func (f *memFile) Name() string               { return f.name }
func (f *memFile) Stat() (fs.FileInfo, error) { return memInfo{f}, nil }

type memInfo struct{ f *memFile }

func (i memInfo) Name() string     { return i.f.name }
func (i memInfo) Size() int64      { return i.f.Size() }
func (memInfo) Mode() fs.FileMode  { return 0o444 }
func (memInfo) ModTime() time.Time { return time.Unix(1, 2) }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }

// openBytes opens a file in memory under the name "f".
func openBytes(b []byte) (*File, error) {
	return Open(memFS{files: map[string][]byte{"f": b}}, "f")
}

// everyType is a schema with every physical type and the shapes of nesting: flat columns required
// and optional, a list, a map, a struct, a list of structs, and a list of lists.
func everyType(t testing.TB) *schema.Schema {
	t.Helper()
	req, opt, rep := arrowparquet.Repetitions.Required, arrowparquet.Repetitions.Optional, arrowparquet.Repetitions.Repeated
	ty := arrowparquet.Types
	logical := func(name string, r arrowparquet.Repetition, l schema.LogicalType, p arrowparquet.Type, width int) schema.Node {
		n, err := schema.NewPrimitiveNodeLogical(name, r, l, p, width, -1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	plain := func(name string, r arrowparquet.Repetition, p arrowparquet.Type) schema.Node {
		return logical(name, r, nil, p, 5)
	}
	group := func(name string, r arrowparquet.Repetition, l schema.LogicalType, fields ...schema.Node) schema.Node {
		n, err := schema.NewGroupNodeLogical(name, r, fields, l, -1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	fields := schema.FieldList{
		plain("bool_r", req, ty.Boolean), plain("bool_o", opt, ty.Boolean),
		plain("i32_r", req, ty.Int32), plain("i32_o", opt, ty.Int32),
		plain("i64_r", req, ty.Int64), plain("i64_o", opt, ty.Int64),
		plain("i96_r", req, ty.Int96), plain("i96_o", opt, ty.Int96),
		plain("f32_r", req, ty.Float), plain("f64_o", opt, ty.Double),
		logical("s_r", req, schema.StringLogicalType{}, ty.ByteArray, 0),
		logical("s_o", opt, schema.StringLogicalType{}, ty.ByteArray, 0),
		plain("fl_r", req, ty.FixedLenByteArray), plain("fl_o", opt, ty.FixedLenByteArray),
		logical("ts", opt, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), ty.Int64, 0),
		group("list", opt, schema.NewListLogicalType(), group("list", rep, nil,
			logical("element", opt, schema.StringLogicalType{}, ty.ByteArray, 0))),
		group("map", opt, schema.MapLogicalType{}, group("key_value", rep, nil,
			logical("key", req, schema.StringLogicalType{}, ty.ByteArray, 0), plain("value", opt, ty.Int32))),
		group("struct", opt, nil, plain("a", req, ty.Int64), plain("b", opt, ty.FixedLenByteArray)),
		group("structs", opt, schema.NewListLogicalType(), group("list", rep, nil,
			group("element", opt, nil, plain("x", req, ty.Double), plain("y", opt, ty.Boolean)))),
		group("lists", req, schema.NewListLogicalType(), group("list", rep, nil,
			group("element", opt, schema.NewListLogicalType(), group("list", rep, nil, plain("element", req, ty.Int96))))),
		plain("bare", rep, ty.Int32),
	}
	root, err := schema.NewGroupNode("schema", req, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	return schema.NewSchema(root)
}

// makeLeaf fills a vector with random rows of a leaf.
func makeLeaf(rnd *rand.Rand, leaf *schema.Column, rows, distinct int) *column.Vector {
	v := column.New(leaf)
	var path []schema.Node
	for n := leaf.SchemaNode(); n.Parent() != nil; n = n.Parent() {
		path = append([]schema.Node{n}, path...)
	}
	var walk func(i int, def, rep, depth int16)
	emit := func(def, rep int16) {
		if leaf.MaxDefinitionLevel() > 0 {
			v.Def = append(v.Def, def)
		}
		if leaf.MaxRepetitionLevel() > 0 {
			v.Rep = append(v.Rep, rep)
		}
		if def == leaf.MaxDefinitionLevel() {
			v.Values.AppendBytes(makeValue(rnd, leaf, distinct))
		}
	}
	walk = func(i int, def, rep, depth int16) {
		if i == len(path) {
			emit(def, rep)
			return
		}
		switch path[i].RepetitionType() {
		case arrowparquet.Repetitions.Required:
			walk(i+1, def, rep, depth)
		case arrowparquet.Repetitions.Optional:
			if rnd.IntN(4) == 0 {
				emit(def, rep)
			} else {
				walk(i+1, def+1, rep, depth)
			}
		default:
			n := rnd.IntN(4)
			if n == 0 {
				emit(def, rep)
			}
			for j := range n {
				if j > 0 {
					rep = depth + 1
				}
				walk(i+1, def+1, rep, depth+1)
			}
		}
	}
	for range rows {
		walk(0, 0, 0, 0)
	}
	v.Rows = rows
	v.Index()
	return v
}

func makeValue(rnd *rand.Rand, leaf *schema.Column, distinct int) []byte {
	n := uint64(rnd.IntN(distinct))
	switch leaf.PhysicalType() {
	case arrowparquet.Types.Boolean:
		return []byte{byte(n & 1)}
	case arrowparquet.Types.ByteArray:
		return bytes.Repeat([]byte{byte('a' + n%26)}, int(n%17))
	}
	b := make([]byte, column.Width(leaf)+8)
	binary.LittleEndian.PutUint64(b, n*0x9E3779B97F4A7C15)
	return b[:column.Width(leaf)]
}

// writeFile writes row groups of leaf vectors with arrow-go.
func writeFile(t testing.TB, sc *schema.Schema, props *arrowparquet.WriterProperties, groups [][]*column.Vector) []byte {
	t.Helper()
	b, err := tryWriteFile(sc, props, groups)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryWriteFile(sc *schema.Schema, props *arrowparquet.WriterProperties, groups [][]*column.Vector) (_ []byte, err error) {
	defer recoverInto(&err, "writing the test file")
	var buf bytes.Buffer
	w := file.NewParquetWriter(&buf, sc.Root(), file.WithWriterProps(props))
	for _, g := range groups {
		rg, err := w.AppendRowGroupChecked()
		if err != nil {
			return nil, err
		}
		for _, v := range g {
			cw, err := rg.NextColumn()
			if err != nil {
				return nil, err
			}
			if err := writeLeaf(cw, v); err != nil {
				return nil, err
			}
			if err := cw.Close(); err != nil {
				return nil, err
			}
		}
		if err := rg.Close(); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return buf.Bytes(), err
}

func writeLeaf(cw file.ColumnChunkWriter, v *column.Vector) (err error) {
	switch w := cw.(type) {
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) bool { return b[0] == 1 }), v.Def, v.Rep)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }), v.Def, v.Rep)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }), v.Def, v.Rep)
	case *file.Int96ColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) arrowparquet.Int96 { return arrowparquet.Int96(b) }), v.Def, v.Rep)
	case *file.Float32ColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }), v.Def, v.Rep)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }), v.Def, v.Rep)
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) arrowparquet.ByteArray { return b }), v.Def, v.Rep)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(values(v, func(b []byte) arrowparquet.FixedLenByteArray { return b }), v.Def, v.Rep)
	default:
		err = fmt.Errorf("no writer for %T", cw)
	}
	return err
}

func values[T any](v *column.Vector, conv func([]byte) T) []T {
	out := make([]T, v.Values.Len())
	for i := range out {
		out[i] = conv(v.Values.At(i))
	}
	return out
}

// readAll reads every row of every column chunk in batches whose sizes come from batch, and calls
// each with every batch. It ends with the first error.
func readAll(f *File, batch func() int, each func(rg, leaf int, v *column.Vector)) error {
	for rg := range f.NumRowGroups() {
		for leaf := range f.Schema().NumColumns() {
			if err := readLeaf(f, rg, leaf, batch, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func readLeaf(f *File, rg, leaf int, batch func() int, each func(rg, leaf int, v *column.Vector)) (err error) {
	r, err := f.ReadLeaf(rg, leaf)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	v := column.New(f.Schema().Column(leaf))
	for {
		if err := r.Next(v, batch()); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		each(rg, leaf, v)
	}
}
