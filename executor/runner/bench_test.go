package runner_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/dataset/codec"
	"github.com/sluice-engine/sluice/dataset/gen"
	"github.com/sluice-engine/sluice/model"
)

// BenchmarkEventJob runs the event landing job of 200 files with 10,000 rows each, task after task
// with two threads, and reports what a row costs on either side of the shuffle, in wall and in CPU time.
//
//	go test ./executor/runner -run - -bench EventJob -benchtime 1x -cpuprofile cpu.out
func BenchmarkEventJob(b *testing.B) {
	files := eventFiles(b)
	for _, p := range []model.Partitioning{
		{Kind: model.PartitionValue, PartitionBy: []string{"type"}, Buckets: 1024},
		{Kind: model.PartitionHash, By: []string{"device_id"}, N: 16},
	} {
		b.Run(p.String(), func(b *testing.B) {
			var mapTime, reduceTime, mapCPU, reduceCPU time.Duration
			for b.Loop() {
				b.StopTimer()
				j := newJob(b, files, 50, p)
				j.conf.PieceRows = 40_000
				j.env.MemoryBytes = 1 << 30
				b.StartTimer()
				start, cpu := time.Now(), cpuTime(b)
				for i := range j.splits {
					res, err := j.runMap(b.Context(), i)
					if err != nil {
						b.Fatal(err)
					}
					j.maps = append(j.maps, *res.Map)
				}
				mapTime, mapCPU = mapTime+time.Since(start), mapCPU+cpuTime(b)-cpu
				start, cpu = time.Now(), cpuTime(b)
				written := int64(0)
				for i, rg := range j.ranges() {
					res, err := j.runReduce(b.Context(), i, rg)
					if err != nil {
						b.Fatal(err)
					}
					written += res.Write.Rows
				}
				reduceTime, reduceCPU = reduceTime+time.Since(start), reduceCPU+cpuTime(b)-cpu
				if written != eventRows {
					b.Fatalf("%d rows written", written)
				}
			}
			n := float64(b.N) * eventRows
			b.ReportMetric(float64(mapTime.Microseconds())/n, "map-us/row")
			b.ReportMetric(float64(mapCPU.Microseconds())/n, "map-cpu-us/row")
			b.ReportMetric(float64(reduceTime.Microseconds())/n, "reduce-us/row")
			b.ReportMetric(float64(reduceCPU.Microseconds())/n, "reduce-cpu-us/row")
		})
	}
}

// BenchmarkFusedEventJob is the same job in one fused task.
//
//	go test ./executor/runner -run - -bench FusedEventJob -benchtime 3x -cpuprofile cpu.out
func BenchmarkFusedEventJob(b *testing.B) {
	files := eventFiles(b)
	cpu := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		j := newJob(b, files, 50, model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"type"}, Buckets: 1024})
		j.fuse()
		j.conf.PieceRows = 320_000
		j.env.MemoryBytes = 2 << 30
		start := cpuTime(b)
		b.StartTimer()
		res, err := j.runMap(b.Context(), 0)
		if err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime(b) - start
		if res.Write.Rows != eventRows {
			b.Fatalf("%d rows written", res.Write.Rows)
		}
	}
	n := float64(b.N) * eventRows
	b.ReportMetric(float64(b.Elapsed().Microseconds())/n, "us/row")
	b.ReportMetric(float64(cpu.Microseconds())/n, "cpu-us/row")
}

const eventRows = 2_000_000

// eventFiles writes the event data: 200 files with 10,000 rows each.
func eventFiles(b *testing.B) (files []string) {
	b.Helper()
	codec.RegisterFast()
	in := filepath.Join(b.TempDir(), "in")
	if _, err := gen.Events(b.Context(), gen.Options{Dir: in, Rows: eventRows, Files: 200, Types: 500, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	for _, name := range listFiles(b, in) {
		files = append(files, filepath.Join(in, name))
	}
	return files
}

// cpuTime is what this process has used, user and system; unlike wall time it is little moved by what
// else the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
