package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

func keyOf(i int) model.PartitionKey {
	return model.PartitionKey{Bucket: uint32(i), Path: fmt.Sprint("k=", i)}
}

// What partitions write beside each other is what Append writes one after another.
func TestPartitionsWriteWhatAppendWrites(t *testing.T) {
	const partitions, pieces = 5, 7
	var files [2]map[string]string
	for way := range files {
		c := testConfig(t)
		c.Attempt = model.AttemptID{}
		c.Conf.RowGroupBytes, c.Conf.TargetFileBytes = 100<<10, 200<<10
		w, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		released := 0
		next := func(k, i int) Piece {
			p := piece(t, c.Schema, block.Options{Codec: block.Snappy, PageBytes: 64 << 10}, k*100_000+i*900, 900, 60)
			return Piece{Piece: p, Release: func() { released++ }}
		}
		if way == 0 {
			for k := range partitions {
				for i := range pieces {
					if err := w.Append(keyOf(k), next(k, i)); err != nil {
						t.Fatal(err)
					}
				}
			}
		} else {
			var open []*Partition
			for k := range partitions {
				open = append(open, w.Partition(keyOf(k)))
			}
			for i := range pieces {
				for k, p := range open {
					if err := p.Append(next(k, i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, p := range open {
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				if p.Bytes() != 0 {
					t.Errorf("%d bytes are open after Close", p.Bytes())
				}
			}
		}
		out, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if out.Values != partitions || out.Rows != partitions*pieces*900 || len(out.Hot) != partitions || released != partitions*pieces {
			t.Errorf("%+v, %d pieces released", out, released)
		}
		files[way] = map[string]string{}
		for _, f := range staged(t, out) {
			data, err := os.ReadFile(f.Staged)
			if err != nil {
				t.Fatal(err)
			}
			files[way][f.Final] = string(data)
		}
	}
	if len(files[0]) < 2*partitions || len(files[0]) != len(files[1]) {
		t.Errorf("%d and %d files", len(files[0]), len(files[1]))
	}
	for name, data := range files[0] {
		if files[1][name] != data {
			t.Errorf("%s differs", name)
		}
	}
}

func TestAbortRemovesOpenPartitions(t *testing.T) {
	c := testConfig(t)
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	released := 0
	for k := range 3 {
		p := w.Partition(keyOf(k))
		for range 2 + k {
			if err := p.Append(Piece{
				Piece:   piece(t, c.Schema, block.Options{Codec: block.Snappy}, 0, 100, 10),
				Release: func() { released++ },
			}); err != nil {
				t.Fatal(err)
			}
		}
		if k == 0 {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.Close(); err == nil || !strings.Contains(err.Error(), "2 partitions were not finished") {
		t.Errorf("closed with open partitions: %v", err)
	}
	for range 2 {
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(c.Conf.StagingDir, "*")); err != nil || len(left) > 0 || released != 9 {
		t.Errorf("left %v, %v, %d pieces released of 9", left, err, released)
	}
}

// A piece that is alone in its row group goes to the file as it is, its dictionary too.
func TestALonePieceIsTakenAsItIs(t *testing.T) {
	c := testConfig(t)
	c.Conf.RowGroupBytes, c.Conf.TargetFileBytes = 64<<20, 64<<20
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	words := piece(t, c.Schema, block.Options{Codec: block.Snappy}, 0, 20_000, 1) // 26 different texts
	if !words.Chunks[1].HasDictionary() {
		t.Fatal("the texts have no dictionary")
	}
	small := piece(t, c.Schema, block.Options{Codec: block.Snappy, PageBytes: 4 << 10, DictionaryBytes: -1}, 0, 20_000, 1)
	for k, p := range []*block.Piece{words, small} {
		part := w.Partition(keyOf(k))
		if err := part.Append(Piece{Piece: p}); err != nil {
			t.Fatal(err)
		}
		if err := part.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	for k, f := range staged(t, out) {
		data, err := os.ReadFile(f.Staged)
		if err != nil {
			t.Fatal(err)
		}
		for i, chunk := range []*block.Piece{words, small}[k].Chunks {
			for n, page := range chunk.Pages[:1] {
				if found := strings.Contains(string(data), string(page.Bytes)); found != (k == 0) {
					t.Errorf("%s, column %d: page %d is in the file as it was: %v", f.Final, i, n, found)
				}
			}
		}
		rd, err := file.OpenParquetFile(f.Staged, false)
		if err != nil {
			t.Fatal(err)
		}
		if rd.NumRows() != 20_000 || rd.NumRowGroups() != 1 {
			t.Errorf("%s: %d rows in %d row groups", f.Final, rd.NumRows(), rd.NumRowGroups())
		}
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
