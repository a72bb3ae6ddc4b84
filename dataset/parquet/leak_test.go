package parquet

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/sluice-engine/sluice/dataset/column"
)

// TestEveryPageBufferIsGivenBack counts the memory that arrow-go takes for pages: after a whole read, after
// one that is broken off, and after one that fails.
func TestEveryPageBufferIsGivenBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sc := everyType(t)
	group := make([]*column.Vector, sc.NumColumns())
	for i := range group {
		group[i] = makeLeaf(rnd, sc.Column(i), 2000, 100)
	}
	props := arrowparquet.NewWriterProperties(arrowparquet.WithCompression(compress.Codecs.Snappy), arrowparquet.WithDataPageSize(1<<10))
	data := writeFile(t, sc, props, [][]*column.Vector{group})
	damaged := append([]byte(nil), data...)
	for i := len(damaged) / 4; i < len(damaged)/2; i += 97 {
		damaged[i] ^= 0x40
	}
	for name, read := range map[string]func(t *testing.T, f *File){
		"whole": func(t *testing.T, f *File) {
			if err := readAll(f, func() int { return 300 }, func(int, int, *column.Vector) {}); err != nil {
				t.Error(err)
			}
		},
		"broken off": func(t *testing.T, f *File) {
			for leaf := range sc.NumColumns() {
				r, err := f.ReadLeaf(0, leaf)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Next(column.New(sc.Column(leaf)), 10); err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"damaged": func(t *testing.T, f *File) {
			failed := 0
			for leaf := range sc.NumColumns() {
				if readLeaf(f, 0, leaf, func() int { return 300 }, func(int, int, *column.Vector) {}) != nil {
					failed++
				}
			}
			if failed == 0 {
				t.Error("no leaf found the damage")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bytes := data
			if name == "damaged" {
				bytes = damaged
			}
			f, err := openBytes(bytes)
			if err != nil {
				t.Fatal(err)
			}
			checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
			f.alloc = checked
			read(t, f)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			checked.AssertSize(t, 0)
		})
	}
}
