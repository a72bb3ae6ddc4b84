package gen

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

func TestSameBytesWithAnyNumberOfThreads(t *testing.T) {
	sum := func(o Options) (sum [32]byte) {
		o.Dir, o.Rows, o.Files, o.Types = filepath.Join(t.TempDir(), "out"), 20_011, 13, 50
		if _, err := Events(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, n := range names(t, o.Dir) {
			b, err := os.ReadFile(filepath.Join(o.Dir, n))
			if err != nil {
				t.Fatal(err)
			}
			h.Write(fmt.Appendf(nil, "%s %d\n", n, len(b)))
			h.Write(b)
		}
		return [32]byte(h.Sum(nil))
	}
	seen := map[[32]byte]string{}
	for _, o := range []Options{
		{Codec: CodecSnappy}, {Codec: CodecSnappy, Seed: 1}, {Codec: CodecSnappy, Seed: 2},
		{Codec: CodecZstd, Seed: 1}, {Codec: CodecNone, Seed: 1},
	} {
		o.Threads = 1
		want := sum(o)
		what := fmt.Sprintf("codec %s, seed %d", o.Codec, o.Seed)
		if other, ok := seen[want]; ok {
			t.Errorf("%s makes the same data as %s", what, other)
		}
		seen[want] = what
		for _, threads := range []int{2, 50} {
			o.Threads = threads
			if sum(o) != want {
				t.Errorf("%s: %d threads make other files than one", what, threads)
			}
		}
	}
}

// open reads a file through arrow-go, and checks that no memory is left when the test ends.
func open(t *testing.T, name string) *file.Reader {
	t.Helper()
	f, err := file.OpenParquetFile(name, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// readGroups calls check with each row group as a record.
func readGroups(t *testing.T, name string, check func(*metadata.RowGroupMetaData, arrow.RecordBatch)) {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	f := open(t, name)
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: groupRows}, mem)
	if err != nil {
		t.Fatal(err)
	}
	for g := range f.NumRowGroups() {
		records, err := r.GetRecordReader(context.Background(), nil, []int{g})
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for records.Next() {
			rows += records.RecordBatch().NumRows()
			check(f.MetaData().RowGroup(g), records.RecordBatch())
		}
		if err := records.Err(); err != nil {
			t.Fatal(err)
		}
		records.Release()
		if want := f.MetaData().RowGroup(g).NumRows(); rows != want {
			t.Errorf("%s, row group %d: %d rows, its footer says %d", name, g, rows, want)
		}
	}
}

// TestTheDataSetIsAsDescribed reads a set in the shape of the default one.
func TestTheDataSetIsAsDescribed(t *testing.T) {
	const files, rows = 10, 100_003
	dir := t.TempDir()
	res, err := Events(t.Context(), Options{Dir: dir, Rows: rows, Files: files, Types: 500, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	var got, top int64
	nulls := map[string]int64{}
	ids := map[string]bool{}
	last := int64(math.MinInt64) // the greatest time of the file before
	for _, n := range names(t, dir) {
		readGroups(t, filepath.Join(dir, n), func(_ *metadata.RowGroupMetaData, rec arrow.RecordBatch) {
			if rec.NumCols() != 20 {
				t.Fatalf("%d columns, want 20", rec.NumCols())
			}
			got += rec.NumRows()
			for i, c := range rec.Columns() {
				nulls[rec.ColumnName(i)] += int64(c.NullN())
			}
			events, types := rec.Column(0).(*array.String), rec.Column(2).(*array.String)
			lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
			for i := range int(rec.NumRows()) {
				ids[events.Value(i)] = true
				if types.Value(i) == "appOpen" {
					top++
				}
				ts := int64(rec.Column(3).(*array.Timestamp).Value(i))
				lo, hi = min(lo, ts), max(hi, ts)
				if received := int64(rec.Column(19).(*array.Timestamp).Value(i)); received < ts {
					t.Errorf("event %s is received before it happens", events.Value(i))
				}
			}
			if last != math.MinInt64 && (lo >= last || hi <= last || hi-lo > 2*fileMicros) {
				t.Errorf("%s: times from %d to %d do not just overlap with those before %d", n, lo, hi, last)
			}
			last = hi
		})
	}
	if got != rows || res.Rows != rows || int64(len(ids)) != rows {
		t.Errorf("%d rows, %d event ids, result %d; want %d", got, len(ids), res.Rows, rows)
	}
	if share := float64(top) / rows; share < 0.22 || share > 0.26 {
		t.Errorf("appOpen has %.1f %% of the rows, want about 24", 100*share)
	}
	withNulls := 0
	for name, n := range nulls {
		if n > 0 {
			withNulls++
			if n > rows*3/4 {
				t.Errorf("%s: %d of %d values are null", name, n, rows)
			}
		}
	}
	if len(nulls) != 20 || withNulls != 9 {
		t.Errorf("%d of %d columns hold nulls, want 9 of 20: %v", withNulls, len(nulls), nulls)
	}
}

// TestStatisticsSayWhatIsInTheColumn has a file of two row groups of several pages, whose last page is
// not full.
func TestStatisticsSayWhatIsInTheColumn(t *testing.T) {
	const rows = groupRows + pageRows + 13
	dir := t.TempDir()
	if _, err := Events(t.Context(), Options{Dir: dir, Rows: rows, Files: 1, Types: 500, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	groups := 0
	readGroups(t, filepath.Join(dir, fileName(0)), func(rg *metadata.RowGroupMetaData, rec arrow.RecordBatch) {
		groups++
		for i, c := range rec.Columns() {
			values, nulls := c, int64(c.NullN())
			if list, ok := c.(*array.List); ok {
				from, _ := list.ValueOffsets(0)
				_, to := list.ValueOffsets(list.Len() - 1)
				values = array.NewSlice(list.ListValues(), from, to)
				defer values.Release()
				for k := range list.Len() {
					if a, b := list.ValueOffsets(k); list.IsValid(k) && a == b {
						nulls++ // an empty list has no value either
					}
				}
			}
			chunk, err := rg.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			stats, err := chunk.Statistics()
			if err != nil {
				t.Fatal(err)
			}
			lo, hi := plainExtremes(t, values)
			if !bytes.Equal(stats.EncodeMin(), lo) || !bytes.Equal(stats.EncodeMax(), hi) || stats.NullCount() != nulls {
				t.Errorf("row group %d, %s: statistics %x to %x, %d nulls; the values are %x to %x, %d",
					groups-1, rec.ColumnName(i), stats.EncodeMin(), stats.EncodeMax(), stats.NullCount(), lo, hi, nulls)
			}
		}
	})
	if groups != 2 {
		t.Errorf("%d row groups, want 2", groups)
	}
}

// plainExtremes looks for the least and the greatest value with arrow-go's own types.
func plainExtremes(t *testing.T, values arrow.Array) (lo, hi []byte) {
	var at func(i int) []byte
	var less func(a, b []byte) bool
	int64At := func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }
	switch v := values.(type) {
	case *array.String:
		at, less = func(i int) []byte { return []byte(v.Value(i)) }, func(a, b []byte) bool { return string(a) < string(b) }
	case *array.Int64:
		at = func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v.Value(i))) }
		less = func(a, b []byte) bool { return int64At(a) < int64At(b) }
	case *array.Timestamp:
		at = func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v.Value(i))) }
		less = func(a, b []byte) bool { return int64At(a) < int64At(b) }
	case *array.Int32:
		at = func(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v.Value(i))) }
		less = func(a, b []byte) bool {
			return int32(binary.LittleEndian.Uint32(a)) < int32(binary.LittleEndian.Uint32(b))
		}
	case *array.Float64:
		at = func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v.Value(i))) }
		less = func(a, b []byte) bool {
			return math.Float64frombits(binary.LittleEndian.Uint64(a)) < math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case *array.Boolean:
		at = func(i int) []byte {
			if v.Value(i) {
				return []byte{1}
			}
			return []byte{0}
		}
		less = func(a, b []byte) bool { return a[0] < b[0] }
	default:
		t.Fatalf("no column has the type %s", values.DataType())
	}
	for i := range values.Len() {
		if values.IsNull(i) {
			continue
		}
		x := at(i)
		if lo == nil || less(x, lo) {
			lo = x
		}
		if hi == nil || less(hi, x) {
			hi = x
		}
	}
	if f, ok := values.(*array.Float64); ok && f.Len() > 0 && math.Float64frombits(binary.LittleEndian.Uint64(lo)) == 0 {
		lo = binary.LittleEndian.AppendUint64(nil, 1<<63) // the format wants -0.0 as a minimum
	}
	return lo, hi
}

// TestSmallestSets have one row per file, one type, and every codec.
func TestSmallestSets(t *testing.T) {
	for _, codec := range []string{"", CodecZstd, CodecNone} {
		for _, rows := range []int64{1, 2, 9} {
			dir := t.TempDir()
			o := Options{Dir: dir, Rows: rows, Files: int(min(rows, 2)), Types: 1, Codec: codec}
			if _, err := Events(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			var got int64
			for _, n := range names(t, dir) {
				readGroups(t, filepath.Join(dir, n), func(_ *metadata.RowGroupMetaData, rec arrow.RecordBatch) {
					got += rec.NumRows()
					if v := rec.Column(2).(*array.String).Value(0); v != "appOpen" {
						t.Errorf("the only type is %s", v)
					}
				})
			}
			if got != rows {
				t.Errorf("codec %q: %d rows, want %d", codec, got, rows)
			}
		}
	}
}

// TestSchema pins what other tools see: a change here changes what everybody measures.
func TestSchema(t *testing.T) {
	dir := t.TempDir()
	if _, err := Events(t.Context(), small(dir)); err != nil {
		t.Fatal(err)
	}
	meta := open(t, filepath.Join(dir, fileName(0))).MetaData()
	if n := meta.KeyValueMetadata().Len(); n != 0 {
		t.Errorf("%d key-value entries, want none", n)
	}
	want := []string{
		"event_id:BYTE_ARRAY:String", "device_id:BYTE_ARRAY:String", "type:BYTE_ARRAY:String",
		"ts:INT64:Timestamp", "user_id:INT64:None?", "session_id:INT64:None", "seq:INT32:None",
		"duration_ms:INT32:None?", "amount:DOUBLE:None?", "lat:DOUBLE:None?", "is_new:BOOLEAN:None",
		"country:BYTE_ARRAY:String", "platform:BYTE_ARRAY:String", "app_version:BYTE_ARRAY:String?",
		"campaign:BYTE_ARRAY:String?", "url:BYTE_ARRAY:String?", "user_agent:BYTE_ARRAY:String",
		"payload:BYTE_ARRAY:String?", "tags.list.element:BYTE_ARRAY:String?", "received_at:INT64:Timestamp",
	}
	for i := range max(len(want), meta.Schema.NumColumns()) {
		c := meta.Schema.Column(i)
		kind, _, _ := bytes.Cut([]byte(c.LogicalType().String()), []byte("("))
		got := fmt.Sprintf("%s:%s:%s", c.Path(), c.PhysicalType(), kind)
		if c.SchemaNode().RepetitionType() == parquet.Repetitions.Optional {
			got += "?"
		}
		if got != want[i] {
			t.Errorf("column %d is %s, want %s", i, got, want[i])
		}
	}
}
