package parquet

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/internal/vfs"
)

// TestFilesOfOtherWriters reads the files of testdata/make.py, which all hold the same ten rows.
func TestFilesOfOtherWriters(t *testing.T) {
	for _, name := range []string{"pyarrow", "duckdb", "polars", "spark"} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(vfs.OS, filepath.Join("testdata", name+".parquet"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}()
			if f.NumRows() != 10 {
				t.Fatalf("%d rows", f.NumRows())
			}
			got := map[string][]string{}
			err = readAll(f, func() int { return 4 }, func(_, leaf int, v *column.Vector) {
				top := f.Schema().ColumnRoot(leaf).Name()
				if v.Leaf.Name() == "b" {
					top = "pair.b"
				}
				got[top] = append(got[top], render(v)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			for col, want := range map[string][]string{
				"id":     {"[0]", "[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8]", "[9]"},
				"flag":   {"[]", "[0]", "[1]", "[]", "[1]", "[0]", "[]", "[0]", "[1]", "[]"},
				"name":   {"[]", "[name-1]", "[name-2]", "[name-3]", "[]", "[name-1]", "[name-2]", "[name-3]", "[]", "[name-1]"},
				"tags":   {"[]", "[t0]", "[t0 t1]", "[]", "[]", "[t0 t1]", "[]", "[t0]", "[t0 t1]", "[]"},
				"pair.b": {"[b0]", "[]", "[b2]", "[]", "[b4]", "[]", "[b6]", "[]", "[b8]", "[]"},
				"pair":   {"[0]", "[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[]", "[8]", "[9]"},
			} {
				if fmt.Sprint(got[col]) != fmt.Sprint(want) {
					t.Errorf("%s: %v, want %v", col, got[col], want)
				}
			}
		})
	}
}

// render gives the values of each row: text, or the lowest byte of a number.
func render(v *column.Vector) []string {
	var out []string
	for i := range v.Rows {
		row := []string{}
		for j, to := v.ValueRange(i); j < to; j++ {
			if b := v.Values.At(j); v.Values.Width > 0 {
				row = append(row, fmt.Sprint(b[0]))
			} else {
				row = append(row, string(b))
			}
		}
		out = append(out, fmt.Sprint(row))
	}
	return out
}
