package sink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testSchema has a number and a text.
func testSchema(t testing.TB) *schema.Schema {
	t.Helper()
	n := schema.NewInt64Node("n", parquet.Repetitions.Required, 7)
	s := schema.NewByteArrayNode("s", parquet.Repetitions.Required, -1)
	root, err := schema.NewGroupNode("spark_schema", parquet.Repetitions.Required, schema.FieldList{n, s}, -1)
	if err != nil {
		t.Fatal(err)
	}
	return schema.NewSchema(root)
}

// piece makes rows with n counting from first, and texts of width random letters.
func piece(t testing.TB, sc *schema.Schema, o block.Options, first, rows, width int) *block.Piece {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(first), 0))
	n, s := column.New(sc.Column(0)), column.New(sc.Column(1))
	for i := range rows {
		n.Values.AppendBytes(binary.LittleEndian.AppendUint64(nil, uint64(first+i)))
		text := make([]byte, width)
		for k := range text {
			text[k] = byte('a' + r.IntN(26))
		}
		s.Values.AppendBytes(text)
	}
	p := &block.Piece{Rows: int64(rows)}
	for i, v := range []*column.Vector{n, s} {
		v.Rows = rows
		v.Index()
		e := block.NewChunkEncoder(sc.Column(i), o)
		if err := e.Append(v, 0, rows); err != nil {
			t.Fatal(err)
		}
		c, err := e.Finish()
		if err != nil {
			t.Fatal(err)
		}
		p.Chunks = append(p.Chunks, c)
	}
	return p
}

func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{
		FS: vfs.OS, Schema: testSchema(t),
		Conf: model.JobConf{
			UUID: "u", Codec: "snappy", TargetFileBytes: 1 << 20, RowGroupBytes: 256 << 10, StagingDir: t.TempDir(),
			Partitioning: model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"k"}, Buckets: 16},
		},
		Attempt: model.AttemptID{Task: model.TaskID{Job: "j", Stage: 1, Index: 42}, Number: 2},
	}
}

// staged reads the manifest.
func staged(t testing.TB, out model.WriteOutput) []model.StagedFile {
	t.Helper()
	text, err := os.ReadFile(out.Manifest.Path)
	if err != nil {
		t.Fatal(err)
	}
	var files []model.StagedFile
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var f model.StagedFile
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func TestFilesCloseAtTheCutNearestTheTarget(t *testing.T) {
	c := testConfig(t)
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	// 40 pieces of about 112 KB: 9 or 10 of them make a target, 2 a row group. Their bytes are
	// overwritten as soon as they are given back.
	key := model.PartitionKey{Bucket: 3, Path: "k=a"}
	var released atomic.Int32
	for i := range 40 {
		p := piece(t, c.Schema, block.Options{Codec: block.Snappy}, i*3000, 3000, 40)
		data, err := block.AppendPiece(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = block.DecodePiece([]*schema.Column{c.Schema.Column(0), c.Schema.Column(1)}, data); err != nil {
			t.Fatal(err)
		}
		release := func() {
			released.Add(1)
			for i := range data {
				data[i] = 0xee
			}
		}
		if err := w.Append(key, Piece{Piece: p, Release: release}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if out.Rows != 120_000 || out.Values != 1 || len(out.Hot) != 1 || out.Hot[0].Rows != 120_000 || out.Hot[0].Bytes != out.Bytes {
		t.Errorf("reported %+v", out)
	}
	if n := released.Load(); n != 40 {
		t.Errorf("%d pieces released of 40", n)
	}
	next := int64(0)
	files := staged(t, out)
	for i, f := range files {
		if want := fmt.Sprintf("k=a/part-00042-u.c%03d.snappy.parquet", i); f.Final != want {
			t.Errorf("file %d is %s, want %s", i, f.Final, want)
		}
		if i < len(files)-1 && (f.Bytes < 9<<20/10 || f.Bytes > 11<<20/10) {
			t.Errorf("%s has %d bytes", f.Final, f.Bytes)
		}
		next = checkFile(t, f, next)
	}
	if next != 120_000 {
		t.Errorf("%d rows read", next)
	}
}

// checkFile reads the file with arrow-go; its numbers must count from next. It returns the number
// after the last.
func checkFile(t *testing.T, f model.StagedFile, next int64) int64 {
	t.Helper()
	rd, err := file.OpenParquetFile(f.Staged, false)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if rd.NumRows() != f.Rows || !strings.HasPrefix(rd.MetaData().GetCreatedBy(), "sluice version ") {
		t.Errorf("%s: %d rows, created by %s", f.Staged, rd.NumRows(), rd.MetaData().GetCreatedBy())
	}
	for g := range rd.NumRowGroups() {
		group := rd.RowGroup(g)
		chunk, err := group.MetaData().ColumnChunk(0)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := chunk.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if chunk.Compression() != compress.Codecs.Snappy || stats == nil || stats.NullCount() != 0 ||
			binary.LittleEndian.Uint64(stats.EncodeMin()) != uint64(next) {
			t.Errorf("%s: row group %d: codec %s, statistics %v", f.Staged, g, chunk.Compression(), stats)
		}
		if size := group.MetaData().TotalCompressedSize(); g < rd.NumRowGroups()-1 && (size < 150_000 || size > 350_000) {
			t.Errorf("%s: row group %d has %d bytes", f.Staged, g, size)
		}
		texts, err := group.MetaData().ColumnChunk(1)
		if err != nil {
			t.Fatal(err)
		}
		if stats, err := texts.Statistics(); err != nil || stats.EncodeMin()[0] != 'a' || stats.EncodeMax()[0] != 'z' {
			t.Errorf("%s: row group %d: text from %q to %q, %v", f.Staged, g, stats.EncodeMin(), stats.EncodeMax(), err)
		}
		col, err := group.Column(0)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]int64, group.NumRows())
		got := 0
		for got < len(values) {
			n, _, err := col.(*file.Int64ColumnChunkReader).ReadBatch(int64(len(values)-got), values[got:], nil, nil)
			if err != nil || n == 0 {
				t.Fatalf("after %d values: %v", got, err)
			}
			got += int(n)
		}
		for _, v := range values {
			if v != next {
				t.Fatalf("%s: value %d, want %d", f.Staged, v, next)
			}
			next++
		}
	}
	return next
}

func TestFullPagesAreTakenAsTheyAre(t *testing.T) {
	c := testConfig(t)
	c.Conf.RowGroupBytes, c.Conf.TargetFileBytes = 64<<20, 64<<20
	p := piece(t, c.Schema, block.Options{Codec: block.Snappy, PageBytes: 128 << 10, DictionaryBytes: -1}, 0, 20_000, 30)
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{}, Piece{Piece: p}); err != nil {
		t.Fatal(err)
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(staged(t, out)[0].Staged)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Chunks {
		for k, page := range p.Chunks[i].Pages[:len(p.Chunks[i].Pages)-1] {
			if !strings.Contains(string(data), string(page.Bytes)) {
				t.Errorf("column %d: page %d is not in the file as it was", i, k)
			}
		}
	}
}

func TestKeyValueMetadataIsKept(t *testing.T) {
	c := testConfig(t)
	c.KeyValue = metadata.NewKeyValueMetadata()
	if err := c.KeyValue.Append("owner", "someone"); err != nil {
		t.Fatal(err)
	}
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{}, Piece{Piece: piece(t, c.Schema, block.Options{}, 0, 3, 3)}); err != nil {
		t.Fatal(err)
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	rd, err := file.OpenParquetFile(staged(t, out)[0].Staged, false)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if v := rd.MetaData().KeyValueMetadata().FindValue("owner"); v == nil || *v != "someone" {
		t.Errorf("metadata %v", rd.MetaData().KeyValueMetadata())
	}
}

func TestNoRowsNoFile(t *testing.T) {
	c := testConfig(t)
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{}, Piece{Piece: &block.Piece{Chunks: make([]block.Chunk, 2)}}); err != nil {
		t.Fatal(err)
	}
	out, err := w.Close()
	if err != nil || out.Files != 0 || out.Values != 0 || out.Manifest.Bytes != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAbortRemovesEverything(t *testing.T) {
	for _, closed := range []bool{false, true} {
		for _, threads := range []int{1, 4} {
			c := testConfig(t)
			c.Threads = threads
			w, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			var released atomic.Int32
			for i := range 9 {
				p := Piece{
					Piece:   piece(t, c.Schema, block.Options{Codec: block.Snappy}, 0, 2000, 300),
					Release: func() { released.Add(1) },
				}
				if err := w.Append(model.PartitionKey{Bucket: uint32(i), Path: fmt.Sprint("k=", i)}, p); err != nil {
					t.Fatal(err)
				}
			}
			if closed {
				if _, err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := w.Abort(); err != nil {
					t.Fatal(err)
				}
			}
			left, err := filepath.Glob(filepath.Join(c.Conf.StagingDir, "*"))
			if err != nil || len(left) > 0 || released.Load() != 9 {
				t.Errorf("left %v, %v, %d pieces released of 9", left, err, released.Load())
			}
		}
	}
}

func TestKeysMustAscend(t *testing.T) {
	c := testConfig(t)
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p := Piece{Piece: piece(t, c.Schema, block.Options{}, 0, 1, 1)}
	if err := w.Append(model.PartitionKey{Bucket: 2}, p); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{Bucket: 1}, p); !errors.Is(err, ErrOrder) {
		t.Errorf("got %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	attempt := model.AttemptID{Task: model.TaskID{Job: "j", Stage: 1, Index: 7}, Number: 3}
	for _, c := range []struct {
		kind  model.PartitionerKind
		codec string
		key   model.PartitionKey
		want  string
	}{
		{model.PartitionValue, "zstd", model.PartitionKey{Bucket: 900, Path: "a=1/b=x"}, "a=1/b=x/part-00007-u.c012.zstd.parquet"},
		{model.PartitionHash, "none", model.PartitionKey{Bucket: 900}, "part-00900-u.c012.parquet"},
		{model.PartitionRoundRobin, "gzip", model.PartitionKey{Bucket: 123456, Path: "a=1"}, "a=1/part-123456-u.c012.gz.parquet"},
		{model.PartitionNone, "lz4", model.PartitionKey{}, "part-00007-u.c012.lz4raw.parquet"},
	} {
		n := newNaming(model.JobConf{UUID: "u", Codec: c.codec, Partitioning: model.Partitioning{Kind: c.kind}}, attempt)
		if got := n.final(c.key, 12); got != c.want {
			t.Errorf("%s: %s, want %s", c.kind, got, c.want)
		}
	}
	n := newNaming(model.JobConf{StagingDir: "/s"}, attempt)
	if got := n.staged(5) + " " + n.manifest(); got != "/s/j.1.7.3-5.tmp /s/j.1.7.3.manifest.tmp" {
		t.Error(got)
	}
}

func TestProgressEndsAtTheReport(t *testing.T) {
	c := testConfig(t)
	c.Threads = 3
	var rows, bytes, files int64
	c.Progress = func(r, b, f int64) { rows, bytes, files = r, b, f }
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		p := piece(t, c.Schema, block.Options{Codec: block.Snappy}, 0, 4000, 40)
		if err := w.Append(model.PartitionKey{Bucket: uint32(i / 4), Path: fmt.Sprint("k=", i/4)}, Piece{Piece: p}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if rows != out.Rows || bytes != out.Bytes || files != out.Files || files != 3 {
		t.Errorf("progress ended at %d, %d, %d; reported %d, %d, %d", rows, bytes, files, out.Rows, out.Bytes, out.Files)
	}
	if _, err := w.Close(); err == nil {
		t.Error("closed twice")
	}
	if err := w.Append(model.PartitionKey{Bucket: 9}, Piece{Piece: &block.Piece{}}); err == nil {
		t.Error("appended after close")
	}
}
