package fetch

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// BenchmarkFetch reads 64 MiB of map outputs, from files and over gRPC on loopback, in pieces of the
// sizes that a few large and very many small partitions have.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10, 4 << 20} {
		c := newCluster(b, shape{maps: 4, holders: 2, segments: 1, buckets: max(1, 8<<20/size), values: 2, pieces: 4,
			size: func(*rand.Rand) int { return size }}, 31)
		c.serve(vfs.OS, nil)
		var total int64
		for _, i := range c.want {
			total += int64(len(i.Data))
		}
		for _, remote := range []bool{false, true} {
			name := map[bool]string{false: "local/", true: "grpc/"}[remote]
			b.Run(name+map[int]string{2 << 10: "2KiB", 64 << 10: "64KiB", 4 << 20: "4MiB"}[size], func(b *testing.B) {
				b.SetBytes(total)
				b.ReportAllocs()
				o := c.options()
				o.Remote = remote
				for b.Loop() {
					s, err := Open(b.Context(), o, everything(), c.sources)
					if err != nil {
						b.Fatal(err)
					}
					for err == nil {
						_, err = s.Next(b.Context())
					}
					if err := errors.Join(s.Close()); err != nil {
						b.Fatal(err)
					}
					if !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
