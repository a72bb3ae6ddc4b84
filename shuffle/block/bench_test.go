package block

import (
	"math/rand/v2"
	"testing"

	"github.com/sluice-engine/sluice/dataset/column"
)

// BenchmarkEncode gathers batches of 10,000 rows into 100 partitions and encodes them; the unit is
// one value.
func BenchmarkEncode(b *testing.B) {
	const rows, parts = 10_000, 100
	for _, c := range []struct {
		name, leaf string
		card       int
	}{
		{"int64", "required.int64", 0}, {"int64 nullable", "optional.int64", 0}, {"int64 few", "required.int64", 100},
		{"string", "required.string", 0}, {"string few", "optional.string", 100}, {"uuid", "required.uuid", 0},
		{"bool", "optional.bool", 0}, {"list of int32", "repeated.int32", 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			leaf := leafNamed(b, c.leaf)
			rng := rand.New(rand.NewPCG(1, 1))
			v := newVectorGen(rng, leaf, c.card, 0.1).vector(rows)
			order := make([][]uint32, parts)
			for i := range uint32(rows) {
				p := rng.IntN(parts)
				order[p] = append(order[p], i)
			}
			enc := make([]*ChunkEncoder, parts)
			hint := new(Hint)
			for p := range enc {
				enc[p] = NewChunkEncoder(leaf, Options{Codec: Snappy, Hint: hint, PageBytes: 64 << 10})
			}
			b.ReportAllocs()
			for n := 0; n < b.N; n += rows {
				for p := range enc {
					if err := enc[p].AppendRows(v, order[p]); err != nil {
						b.Fatal(err)
					}
					if enc[p].Rows() >= 20_000 {
						if _, err := enc[p].Finish(); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// BenchmarkDecode decodes a chunk of 50,000 rows; the unit is one row.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name, leaf string
		card       int
	}{
		{"int64", "required.int64", 0}, {"int64 few nullable", "optional.int64", 100}, {"string", "required.string", 0},
		{"string few nullable", "optional.string", 100}, {"list of int32", "repeated.int32", 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			leaf := leafNamed(b, c.leaf)
			v := newVectorGen(rand.New(rand.NewPCG(1, 1)), leaf, c.card, 0.1).vector(50_000)
			chunk := fill(b, NewChunkEncoder(leaf, Options{Codec: Snappy}), v)
			out := column.New(leaf)
			b.ReportAllocs()
			for n := 0; n < b.N; n += v.Rows {
				out.Reset()
				if err := DecodeChunk(leaf, &chunk, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSmallPiece frames and checks pieces of 20 rows and 19 columns, the common case with many
// partitions.
func BenchmarkSmallPiece(b *testing.B) {
	leaves := testLeaves(testSchema())[:19]
	p, _ := randomPiece(b, rand.New(rand.NewPCG(1, 1)), leaves, 20, Options{SmallBytes: 4096})
	var buf []byte
	b.ReportAllocs()
	for range b.N {
		var err error
		if buf, err = AppendPiece(buf[:0], p); err != nil {
			b.Fatal(err)
		}
		if _, err := DecodePiece(leaves, buf); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}
