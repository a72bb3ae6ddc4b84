package write

import (
	"os"
	"testing"
)

// BenchmarkRun maps 200 files of 10,000 rows with two threads.
//
//	go test ./shuffle/write -run - -bench Run -benchtime 3x -cpuprofile cpu.out
func BenchmarkRun(b *testing.B) {
	const rows = 2_000_000
	c := landing(b, rows, 200, 500)
	c.MemoryBytes = 2 << 30
	c.Conf.PieceRows = 50_000
	for b.Loop() {
		if _, err := Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(c.Dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/rows, "us/row")
}
