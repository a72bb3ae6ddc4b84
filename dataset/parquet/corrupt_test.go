package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// maxCorruptAlloc is what opening and reading a damaged small file may allocate altogether.
const maxCorruptAlloc = 256 << 20

// exercise opens a file and reads it as far as a row budget goes: damage can make a file claim any
// number of rows. The error must be a typed failure that names the file.
func exercise(b []byte) error {
	f, err := openBytes(b)
	if err != nil {
		return err
	}
	for rg := range f.NumRowGroups() {
		for leaf := range f.Schema().NumColumns() {
			if _, _, err := f.DictionaryValues(rg, leaf, 1<<20); err != nil {
				return err
			}
			if err := readSome(f, rg, leaf, 50_000); err != nil {
				return err
			}
		}
	}
	return f.Close()
}

func readSome(f *File, rg, leaf, budget int) (err error) {
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
	for budget > 0 {
		if err := r.Next(v, 1000); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		budget -= v.Rows
	}
	return nil
}

// mustSurvive exercises a damaged file: an error is typed and names the file, and nothing takes
// memory without bounds. It reports whether the file was read without an error.
func mustSurvive(t *testing.T, what string, b []byte) bool {
	t.Helper()
	before := allocated()
	err := exercise(b)
	if n := allocated() - before; n > maxCorruptAlloc {
		t.Errorf("%s: %d bytes were allocated", what, n)
	}
	if err == nil {
		return true
	}
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonInput || !strings.HasPrefix(err.Error(), "f: ") {
		t.Errorf("%s: the error is not a failure that names the file: %v", what, err)
	}
	return false
}

// allocated is the number of bytes that this process ever allocated on the heap.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// smallFile has one column of each kind of decoder: dictionary, delta, byte stream split, nested.
func smallFile(t testing.TB, codec compress.Compression) []byte {
	t.Helper()
	sc, _, err := Project(everyType(t), []string{"bool_r", "i32_r", "i32_o", "i64_r", "i96_r", "i96_o", "f32_r",
		"f64_o", "s_o", "fl_r", "ts", "map", "struct", "structs", "lists", "bare"})
	if err != nil {
		t.Fatal(err)
	}
	props := arrowparquet.NewWriterProperties(arrowparquet.WithCompression(codec), arrowparquet.WithDictionaryDefault(false),
		arrowparquet.WithDictionaryFor("i64_o", true), arrowparquet.WithStats(false),
		arrowparquet.WithEncodingFor("s_r", arrowparquet.Encodings.DeltaByteArray),
		arrowparquet.WithEncodingFor("fl_o", arrowparquet.Encodings.ByteStreamSplit))
	rnd := rand.New(rand.NewPCG(11, 0))
	g := make([]*column.Vector, sc.NumColumns())
	for i := range g {
		g[i] = makeLeaf(rnd, sc.Column(i), 6, 20)
	}
	return writeFile(t, sc, props, [][]*column.Vector{g})
}

// TestEveryTruncationIsRefused: a file that was cut anywhere is an error.
func TestEveryTruncationIsRefused(t *testing.T) {
	b := smallFile(t, compress.Codecs.Snappy)
	for n := range b {
		if mustSurvive(t, fmt.Sprintf("first %d of %d bytes", n, len(b)), b[:n]) {
			t.Fatalf("the first %d of %d bytes were read as a whole file", n, len(b))
		}
	}
}

// TestEveryFlipIsSurvived: one wrong byte, in the footer or in a page, never crashes or hangs the
// reader, and never makes it take more memory than a small file deserves.
func TestEveryFlipIsSurvived(t *testing.T) {
	b := smallFile(t, compress.Codecs.Snappy)
	step := 1
	if testing.Short() {
		step = 7
	}
	read := 0
	for i := 0; i < len(b); i += step {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := append([]byte(nil), b...)
			bad[i] ^= mask
			if mustSurvive(t, fmt.Sprintf("byte %d of %d xor %02x", i, len(b), mask), bad) {
				read++
			}
		}
	}
	t.Logf("%d bytes; %d of the damaged files were read to the end", len(b), read)
}

// TestGuards: what is not readable is named for what it is.
func TestGuards(t *testing.T) {
	good := smallFile(t, compress.Codecs.Uncompressed)
	edit := func(do func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		do(b)
		return b
	}
	tests := []struct {
		name, want string
		b          []byte
	}{
		{"empty", "not a Parquet file", nil},
		{"small", "too small", []byte("PAR1PAR1")},
		{"text", "not a Parquet file", []byte("a,b,c\n1,2,3\n4,5,6\n")},
		{"encrypted", "encrypted", edit(func(b []byte) { copy(b[len(b)-4:], "PARE") })},
		{"head", "does not begin with PAR1", edit(func(b []byte) { b[0] = 'X' })},
		{"long footer", "does not fit", edit(func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-8:], uint32(len(b))) })},
		{"huge footer", "above the limit", edit(func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-8:], 1<<31) })},
		{"no footer", "corrupt footer", edit(func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-8:], 0) })},
	}
	for _, tt := range tests {
		f, err := openBytes(tt.b)
		if err == nil {
			t.Errorf("%s: opened, %d rows", tt.name, f.NumRows())
		} else if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "f: ") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Open(memFS{}, "missing"); err == nil || model.AsFailure(err, "").Reason != model.ReasonInput {
		t.Errorf("missing file: %v", err)
	}
}

// TestChunkNumbersAreChecked damages one number of the metadata at a time.
func TestChunkNumbersAreChecked(t *testing.T) {
	good := smallFile(t, compress.Codecs.Uncompressed)
	tests := map[string]func(f *File){
		"compressed size":      func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.TotalCompressedSize = 1 << 40 },
		"overflowing size":     func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.TotalCompressedSize = 1<<63 - 1 },
		"negative size":        func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.TotalCompressedSize = -1 },
		"negative plain size":  func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.TotalUncompressedSize = -1 },
		"data offset":          func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.DataPageOffset = -5 },
		"data offset 0":        func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.DataPageOffset = 0 },
		"offset in the footer": func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.DataPageOffset = f.dataEnd - 1 },
		"dictionary behind":    func(f *File) { n := f.dataEnd - 9; f.md.RowGroups[0].Columns[2].MetaData.DictionaryPageOffset = &n },
		"values":               func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.NumValues++ },
		"negative values":      func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.NumValues = -1 },
		"rows":                 func(f *File) { f.md.RowGroups[0].NumRows = -1 },
		"row sum":              func(f *File) { f.md.NumRows++ },
		"chunks":               func(f *File) { f.md.RowGroups[0].Columns = f.md.RowGroups[0].Columns[:3] },
		"codec":                func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.Codec = 3 },
		"other file":           func(f *File) { s := "x"; f.md.RowGroups[0].Columns[2].FilePath = &s },
		"type":                 func(f *File) { f.md.RowGroups[0].Columns[2].MetaData.Type = 2 },
		"no metadata":          func(f *File) { f.md.RowGroups[0].Columns[2].MetaData = nil },
	}
	for name, damage := range tests {
		f, err := openBytes(good)
		if err != nil {
			t.Fatal(err)
		}
		damage(f)
		if err := f.checkFooter(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDeepSchemaIsRefused: arrow-go would walk it by recursion until the stack overflows.
func TestDeepSchemaIsRefused(t *testing.T) {
	b := []byte{0x15, 0x02, 0x19, 0xfc} // version 1, then a list of structures
	const depth = 1 << 20
	b = binary.AppendUvarint(b, depth)
	for range depth {
		b = append(b, 0x48, 0x01, 'x', 0x15, 0x02, 0x00) // name "x", one child
	}
	_, err := parseFooter(b)
	if err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("got %v", err)
	}
}

// TestWrongChildCountIsRefused: arrow-go would make room for two thousand million children.
func TestWrongChildCountIsRefused(t *testing.T) {
	b := []byte{0x15, 0x02, 0x19, 0x1c, 0x48, 0x01, 'x', 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00}
	if _, err := parseFooter(b); err == nil || !strings.Contains(err.Error(), "children") {
		t.Errorf("got %v", err)
	}
}

// TestDeltaHeaderIsChecked: arrow-go would allocate by the block size of a delta-coded page.
func TestDeltaHeaderIsChecked(t *testing.T) {
	head := func(block, minis, total uint64) []byte {
		b := binary.AppendUvarint(nil, block)
		b = binary.AppendUvarint(b, minis)
		return append(binary.AppendUvarint(b, total), 0)
	}
	if rest, err := scanDelta(append(head(128, 4, 1), 'x', 'y'), 10); err != nil || string(rest) != "xy" {
		t.Errorf("one value: %q, %v", rest, err)
	}
	for name, b := range map[string][]byte{
		"block":     head(1<<32-128, 1, 5),
		"minis":     head(128, 1<<31, 5),
		"total":     head(128, 4, 11),
		"zero":      head(0, 0, 1),
		"cut":       head(128, 4, 5),
		"empty":     nil,
		"cut width": append(head(128, 4, 5), 2, 1),
	} {
		if _, err := scanDelta(b, 10); !errors.Is(err, errDelta) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamagedPagesAreFoundByTheirChecksum uses a file of a writer that stores page checksums.
func TestDamagedPagesAreFoundByTheirChecksum(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pyarrow.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	start := f.md.RowGroups[0].Columns[0].MetaData.DataPageOffset
	h, err := readPageHeader(b[start:])
	if err != nil || !h.hasCRC {
		t.Fatalf("the file has no page checksums: %+v, %v", h, err)
	}
	b[start+int64(h.length)+h.compressed-1] ^= 1
	if err := exercise(b); err == nil || !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), "row group 0, column ") {
		t.Errorf("got %v", err)
	}
}

// TestFaultsSurface fails each operation of opening and reading in turn.
func TestFaultsSurface(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.parquet")
	s := makeFile(t, 5, []int{50, 20}, compress.Codecs.Zstd, true, 100, true)
	if err := os.WriteFile(name, s.bytes, 0o666); err != nil {
		t.Fatal(err)
	}
	for i := int64(0); ; i++ {
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: i}
		err := func() (err error) {
			f, err := Open(fsys, name)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			return readAll(f, func() int { return 30 }, func(int, int, *column.Vector) {})
		}()
		if !fsys.Fired() {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			t.Logf("%d operations", i)
			return
		}
		var f *model.Failure
		if !errors.Is(err, vfs.ErrInjected) || !errors.As(err, &f) || f.Reason != model.ReasonIO || !strings.Contains(err.Error(), name) {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
}

// TestLeafWithTooFewRowsIsNamed: a repeated leaf tells its rows only when it is read.
func TestLeafWithTooFewRowsIsNamed(t *testing.T) {
	root := schema.MustGroup(schema.NewGroupNode("schema", arrowparquet.Repetitions.Required, schema.FieldList{
		schema.NewInt32Node("r", arrowparquet.Repetitions.Repeated, -1)}, -1))
	sc := schema.NewSchema(root)
	v := column.New(sc.Column(0))
	v.Def, v.Rep = []int16{1, 1, 0, 1}, []int16{0, 1, 0, 0}
	for i := range 3 {
		v.Values.AppendBytes([]byte{byte(i), 0, 0, 0})
	}
	v.Rows = 3
	v.Index()
	b := writeFile(t, sc, arrowparquet.NewWriterProperties(), [][]*column.Vector{{v}})
	for _, rows := range []int64{2, 4} {
		f, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		f.md.RowGroups[0].NumRows, f.md.NumRows, f.groups[0].Rows = rows, rows, rows
		err = readAll(f, func() int { return 10 }, func(int, int, *column.Vector) {})
		if err == nil || !strings.Contains(err.Error(), "column r: it holds") || !strings.Contains(err.Error(), "row group") {
			t.Errorf("%d rows: %v", rows, err)
		}
	}
}

// FuzzOpen opens and reads damaged files. It must end with an error or without, never otherwise.
func FuzzOpen(f *testing.F) {
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd} {
		f.Add(smallFile(f, codec), uint32(0), byte(0))
		f.Add(makeFile(f, 5, []int{20}, codec, true, 50, false).bytes, uint32(100), byte(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint32, mask byte) {
		if len(b) > 0 {
			b = append([]byte(nil), b...)
			b[int(at)%len(b)] ^= mask
		}
		mustSurvive(t, "input", b)
	})
}
