package block

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/column"
)

// randomPiece encodes rows rows of every leaf and returns the values beside the piece.
func randomPiece(t testing.TB, rng *rand.Rand, leaves []*schema.Column, rows int, o Options) (*Piece, []*column.Vector) {
	t.Helper()
	p := &Piece{Rows: int64(rows)}
	var vecs []*column.Vector
	for _, leaf := range leaves {
		v := newVectorGen(rng, leaf, []int{0, 3, 30}[rng.IntN(3)], []float64{0, 0.3, 1}[rng.IntN(3)]).vector(rows)
		p.Chunks = append(p.Chunks, fill(t, NewChunkEncoder(leaf, o), v))
		vecs = append(vecs, v)
	}
	return p, vecs
}

func mustFrame(t testing.TB, p *Piece) []byte {
	t.Helper()
	b, err := AppendPiece(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAPieceComesBack frames pieces of all types and expects the same chunks and values.
func TestAPieceComesBack(t *testing.T) {
	leaves := testLeaves(testSchema())
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		some := slices.Clone(leaves)
		rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		some = some[:1+rng.IntN(8)]
		p, vecs := randomPiece(t, rng, some, rapid.SampledFrom([]int{1, 2, 100, 1500}).Draw(rt, "rows"), drawOptions(rt))
		b, err := AppendPiece([]byte("before"), p)
		if err != nil {
			rt.Fatal(err)
		}
		b = b[len("before"):]
		got, err := DecodePiece(some, b)
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(got, p) {
			rt.Fatal("the piece came back with other chunks")
		}
		clone := got.Clone()
		clear(b)
		for i, leaf := range some {
			v := column.New(leaf)
			if err := DecodeChunk(leaf, &clone.Chunks[i], v); err != nil {
				rt.Fatal(err)
			}
			if err := diff(v, vecs[i]); err != nil {
				rt.Fatalf("%s: %v", leaf.Path(), err)
			}
		}
	})
}

// smallPiece has a chunk of every kind: codes, several pages, nulls, a small one.
func smallPiece(t testing.TB) ([]*schema.Column, []byte) {
	leaves := []*schema.Column{
		leafNamed(t, "required.int64"), leafNamed(t, "optional.string"), leafNamed(t, "repeated.int32"), leafNamed(t, "required.bool"),
	}
	rng := rand.New(rand.NewPCG(1, 1))
	p := &Piece{Rows: 70}
	for i, o := range []Options{{Codec: Snappy}, {Codec: Zstd, PageBytes: 300}, {PageBytes: 150, DictionaryBytes: -1}, {Codec: Gzip, SmallBytes: 1000}} {
		v := newVectorGen(rng, leaves[i], 3, 0.2).vector(int(p.Rows))
		p.Chunks = append(p.Chunks, fill(t, NewChunkEncoder(leaves[i], o), v))
	}
	if !p.Chunks[0].HasDictionary() || len(p.Chunks[1].Pages) < 2 || len(p.Chunks[2].Pages) < 2 || p.Chunks[3].Codec != None {
		t.Fatal("the small piece does not show what it should")
	}
	return leaves, mustFrame(t, p)
}

func TestEveryPrefixAndFlipOfAPieceIsRefused(t *testing.T) {
	leaves, piece := smallPiece(t)
	if _, err := DecodePiece(leaves, piece); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, leaves []*schema.Column, b []byte) {
		t.Helper()
		if p, err := DecodePiece(leaves, b); !errors.Is(err, ErrCorrupt) || p != nil {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	for n := range piece {
		refused(fmt.Sprintf("%d bytes", n), leaves, piece[:n:n])
	}
	b := slices.Clone(piece)
	for i := range piece {
		for x := 1; x < 256; x++ {
			b[i] = piece[i] ^ byte(x)
			refused(fmt.Sprintf("byte %d ^ %d", i, x), leaves, b)
		}
		b[i] = piece[i]
	}
	refused("a byte more", leaves, append(slices.Clone(piece), 0))
	refused("a leaf less", leaves[1:], piece)
	refused("a leaf more", append(slices.Clone(leaves), leaves[0]), piece)
}

// reframe puts the length and the CRC32C right again, so that a test can reach what lies behind.
func reframe(b []byte) []byte {
	if len(b) < minPieceSize {
		return b
	}
	end := len(b) - trailerSize
	copy(b, pieceMagic)
	binary.LittleEndian.PutUint32(b[4:], FormatVersion)
	binary.LittleEndian.PutUint64(b[8:], uint64(len(b)))
	binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], castagnoli))
	copy(b[end+4:], pieceEnd)
	return b
}

// TestALyingPieceIsRefusedOrRead flips bytes under a right CRC32C. Most are refused when the frame,
// the page CRC or the values are read; none may panic or bring a vector that contradicts itself.
func TestALyingPieceIsRefusedOrRead(t *testing.T) {
	leaves, piece := smallPiece(t)
	refusals := 0
	for i := headerSize; i < len(piece)-trailerSize; i++ {
		for _, x := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 255} {
			b := slices.Clone(piece)
			b[i] ^= x
			if !decodeAll(t, leaves, reframe(b)) {
				refusals++
			}
		}
	}
	// What remains can lie only about statistics, and about how nulls and rows of one column divide
	// into pages where nothing is decoded.
	if all := 9 * (len(piece) - minPieceSize); refusals < all*9/10 {
		t.Errorf("%d of %d changes were refused", refusals, all)
	}
}

// decodeAll decodes a piece as far as it goes and reports whether it was accepted.
func decodeAll(t *testing.T, leaves []*schema.Column, b []byte) bool {
	t.Helper()
	p, err := DecodePiece(leaves, b)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("an error of another kind: %v", err)
		}
		return false
	}
	for i, leaf := range leaves {
		v := column.New(leaf)
		if err := DecodeChunk(leaf, &p.Chunks[i], v); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return false
		}
		if err := v.Check(); err != nil {
			t.Fatalf("a vector that contradicts itself: %v", err)
		}
	}
	again, err := AppendPiece(nil, p)
	if err != nil {
		t.Fatalf("an accepted piece cannot be written again: %v", err)
	}
	if back, err := DecodePiece(leaves, again); err != nil || !reflect.DeepEqual(back, p) {
		t.Fatalf("an accepted piece changes when it is written again: %v", err)
	}
	return true
}

func TestPiecesThatCannotBeWrittenAreRefused(t *testing.T) {
	leaf := leafNamed(t, "required.int64")
	v := newVectorGen(rand.New(rand.NewPCG(2, 2)), leaf, 0, 0).vector(10)
	c := fill(t, NewChunkEncoder(leaf, Options{}), v)
	for what, p := range map[string]*Piece{
		"no rows":        {Chunks: []Chunk{{}}},
		"no columns":     {Rows: 10},
		"other rows":     {Rows: 11, Chunks: []Chunk{c}},
		"no pages":       {Rows: 10, Chunks: []Chunk{{Rows: 10}}},
		"a strange code": {Rows: 10, Chunks: []Chunk{{Codec: 9, Rows: 10, Pages: c.Pages}}},
	} {
		if _, err := AppendPiece(nil, p); err == nil {
			t.Errorf("%s: written", what)
		}
	}
}

func TestChunksThatContradictThemselvesAreRefused(t *testing.T) {
	leaf := leafNamed(t, "optional.string")
	v := newVectorGen(rand.New(rand.NewPCG(3, 3)), leaf, 4, 0.3).vector(500)
	good := fill(t, NewChunkEncoder(leaf, Options{Codec: Snappy, PageBytes: 700}), v)
	if !good.HasDictionary() || len(good.Pages) < 3 {
		t.Fatal("want a dictionary and two pages")
	}
	for what, change := range map[string]func(c *Chunk){
		"rows":              func(c *Chunk) { c.Rows++ },
		"levels":            func(c *Chunk) { c.Levels++ },
		"nulls":             func(c *Chunk) { c.Nulls-- },
		"codec":             func(c *Chunk) { c.Codec = Zstd },
		"no dictionary":     func(c *Chunk) { c.Pages = c.Pages[1:] },
		"two dictionaries":  func(c *Chunk) { c.Pages = append(c.Pages[:1:1], c.Pages...) },
		"a page less":       func(c *Chunk) { c.Pages = c.Pages[:2] },
		"a page's rows":     func(c *Chunk) { c.Pages[1].Rows-- },
		"a page's nulls":    func(c *Chunk) { c.Pages[1].Nulls-- },
		"a page's levels":   func(c *Chunk) { c.Pages[1].Levels-- },
		"data for dict":     func(c *Chunk) { c.Pages[0].Bytes = c.Pages[1].Bytes },
		"a cut page":        func(c *Chunk) { c.Pages[1].Bytes = c.Pages[1].Bytes[:len(c.Pages[1].Bytes)-1] },
		"a flipped byte":    func(c *Chunk) { c.Pages[1].Bytes = bytes.Clone(c.Pages[1].Bytes); c.Pages[1].Bytes[40] ^= 1 },
		"an unknown header": func(c *Chunk) { c.Pages[1].Bytes = []byte{0xff} },
	} {
		c := good
		c.Pages = slices.Clone(good.Pages)
		change(&c)
		if err := DecodeChunk(leaf, &c, column.New(leaf)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := DecodeChunk(leaf, &good, column.New(leafNamed(t, "required.int64"))); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("a vector of another type: got %v", err)
	}
}

// TestTheBytesOfAPieceStay compares a piece with the bytes that docs/format.md explains. If it fails,
// the format has changed: FormatVersion must change with it.
func TestTheBytesOfAPieceStay(t *testing.T) {
	leaves := []*schema.Column{leafNamed(t, "required.int32"), leafNamed(t, "optional.string")}
	numbers, texts := column.New(leaves[0]), column.New(leaves[1])
	for _, b := range [][]byte{{7, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {1, 0, 0, 0}} {
		numbers.Values.AppendBytes(b)
	}
	texts.Def = []int16{1, 0, 1}
	texts.Values.AppendBytes([]byte("b"))
	texts.Values.AppendBytes([]byte("a"))
	p := &Piece{Rows: 3}
	for i, v := range []*column.Vector{numbers, texts} {
		v.Rows = 3
		v.Index()
		p.Chunks = append(p.Chunks, fill(t, NewChunkEncoder(leaves[i], Options{Codec: Zstd, SmallBytes: 100}), v))
	}
	want, err := os.ReadFile("testdata/piece.hex")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(mustFrame(t, p)); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzPieceDecode: no input makes the decoder panic, accept what contradicts itself, or take more
// memory than the input justifies. Pools and the codecs' goroutines make coverage differ from run to
// run, which sends Go's minimizer in circles: run it with -fuzzminimizetime=10x.
func FuzzPieceDecode(f *testing.F) {
	leaves, piece := smallPiece(f)
	f.Add(piece)
	rng := rand.New(rand.NewPCG(4, 4))
	for _, o := range []Options{{Codec: LZ4}, {SmallBytes: 4000}, {Codec: Snappy, PageBytes: 1}} {
		p, _ := randomPiece(f, rng, leaves, 30, o)
		f.Add(mustFrame(f, p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := DecodePiece(leaves, b); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("an error of another kind: %v", err)
		}
		b = reframe(slices.Clone(b)) // the fuzzer cannot find checksums
		if p, err := DecodePiece(leaves, b); err == nil && claimed(p) > 1<<24 {
			t.Skip("a run of levels may stand for any number of rows")
		}
		decodeAll(t, leaves, b)
	})
}

// claimed is the number of levels that a piece says it has.
func claimed(p *Piece) (n int64) {
	for i := range p.Chunks {
		n += p.Chunks[i].Levels
	}
	return n
}

func FuzzPageHeader(f *testing.F) {
	for _, h := range testHeaders {
		f.Add(AppendHeader(nil, &h))
	}
	f.Add(v2Header)
	f.Add(headerWithStatistics)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHeader(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || n != 0 {
				t.Fatalf("%d bytes, %v", n, err)
			}
			return
		}
		if n > len(b) || h.Compressed < 0 || h.Compressed > MaxPageBytes || h.Uncompressed < 0 || h.Uncompressed > MaxPageBytes ||
			h.NumValues < 0 || h.NumValues > MaxPageLevels {
			t.Fatalf("%+v in %d of %d bytes", h, n, len(b))
		}
		if (h.Type == DataPage && h.DefEncoding == parquet.Encodings.RLE && h.RepEncoding == parquet.Encodings.RLE || h.Type == DictionaryPage) && h.HasCRC {
			want := Header{Type: h.Type, Uncompressed: h.Uncompressed, Compressed: h.Compressed, CRC: h.CRC, HasCRC: true,
				NumValues: h.NumValues, Encoding: h.Encoding, DefEncoding: h.DefEncoding, RepEncoding: h.RepEncoding, ValuesCompressed: true}
			if got, _, err := ParseHeader(AppendHeader(nil, &h)); err != nil || got != want {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
		}
	})
}
