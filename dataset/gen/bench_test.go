package gen

import (
	"path/filepath"
	"testing"
)

// BenchmarkEvents makes a tenth of the default landing set.
func BenchmarkEvents(b *testing.B) {
	dir := b.TempDir()
	var sum Result
	for i := 0; b.Loop(); i++ {
		res, err := Events(b.Context(), Options{
			Dir: filepath.Join(dir, fileName(i)), Rows: 200_000, Files: 20, Types: 500, Seed: 1,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(res.Bytes)
		sum.Rows += res.Rows
	}
	b.ReportMetric(float64(sum.Rows)/b.Elapsed().Seconds(), "rows/s")
}
