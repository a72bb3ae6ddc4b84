package block

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/column"
)

var allCodecs = []Codec{None, Snappy, Gzip, Zstd, LZ4}

// drawOptions draws everything that shapes a chunk.
func drawOptions(t *rapid.T) Options {
	return Options{
		Codec:           rapid.SampledFrom(allCodecs).Draw(t, "codec"),
		PageBytes:       rapid.SampledFrom([]int{1, 100, 1000, 10_000, 0}).Draw(t, "pageBytes"),
		SmallBytes:      rapid.SampledFrom([]int{0, 500, 5000}).Draw(t, "smallBytes"),
		DictionaryBytes: rapid.SampledFrom([]int{0, -1, 200}).Draw(t, "dictionaryBytes"),
	}
}

// TestWhatWasEncodedIsDecoded appends batches in every way to a chunk of a random type and
// expects the rows back, and statistics that a slow comparison agrees with.
func TestWhatWasEncodedIsDecoded(t *testing.T) {
	leaves := testLeaves(testSchema())
	rapid.Check(t, func(t *rapid.T) {
		leaf := rapid.SampledFrom(leaves).Draw(t, "leaf")
		o := drawOptions(t)
		o.Hint = new(Hint)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		gen := newVectorGen(rng, leaf, rapid.SampledFrom([]int{0, 1, 3, 40}).Draw(t, "card"), rapid.SampledFrom([]float64{0, 0.3, 0.97}).Draw(t, "nulls"))
		e := NewChunkEncoder(leaf, o)
		for range rapid.IntRange(1, 3).Draw(t, "chunks") {
			want := column.New(leaf)
			for range rapid.IntRange(0, 3).Draw(t, "batches") {
				v := gen.vector(rng.IntN(rapid.SampledFrom([]int{2, 100, 3000}).Draw(t, "rows")))
				appendSomehow(t, rng, e, v, want)
			}
			if e.Rows() != int64(want.Rows) {
				t.Fatalf("%d rows in the encoder, want %d", e.Rows(), want.Rows)
			}
			c, err := e.Finish()
			if err != nil {
				t.Fatal(err)
			}
			checkChunk(t, leaf, &c, want)
			if e.Rows() != 0 || e.EncodedEstimate() != 0 {
				t.Fatal("the encoder is not empty after Finish")
			}
		}
	})
}

// appendSomehow gives the rows of v to e, a part as a range and a part as a list of rows.
func appendSomehow(t *rapid.T, rng *rand.Rand, e *ChunkEncoder, v, want *column.Vector) {
	cut := rng.IntN(v.Rows + 1)
	if err := e.Append(v, 0, cut); err != nil {
		t.Fatal(err)
	}
	for i := range cut {
		copyRow(want, v, i)
	}
	var rows []uint32
	for i := cut; i < v.Rows; i++ {
		if rng.IntN(3) > 0 {
			rows = append(rows, uint32(i))
			copyRow(want, v, i)
		}
	}
	if err := e.AppendRows(v, rows); err != nil {
		t.Fatal(err)
	}
}

func checkChunk(t *rapid.T, leaf *schema.Column, c *Chunk, want *column.Vector) {
	got := column.New(leaf)
	if err := DecodeChunk(leaf, c, got); err != nil {
		t.Fatal(err)
	}
	if err := got.Check(); err != nil {
		t.Fatal(err)
	}
	if err := diff(got, want); err != nil {
		t.Fatal(err)
	}
	if c.Rows != int64(want.Rows) || c.Levels != int64(want.NumLevels()) || c.Levels-c.Nulls != int64(want.Values.Len()) {
		t.Fatalf("chunk counts %d rows, %d levels, %d nulls", c.Rows, c.Levels, c.Nulls)
	}
	if leaf.Name() == "decbytes" { // two values may be equal in different lengths; either may be kept
		return
	}
	if lo, hi, ok := slowMinMax(leaf, &want.Values); c.Min != nil && (!ok || !bytes.Equal(lo, c.Min) || !bytes.Equal(hi, c.Max)) {
		t.Fatalf("%s: statistics %x to %x, want %x to %x", leaf.Path(), c.Min, c.Max, lo, hi)
	} else if c.Min == nil && ok && len(c.Pages) == 1 && len(lo) <= MaxStatBytes && len(hi) <= MaxStatBytes {
		t.Fatalf("%s: no statistics, want %x to %x", leaf.Path(), lo, hi)
	}
}

// slowMinMax compares values as numbers of their own type.
func slowMinMax(leaf *schema.Column, v *column.Values) (lo, hi []byte, ok bool) {
	less := slowLess(leaf)
	if less == nil {
		return nil, nil, false
	}
	for i := range v.Len() {
		x := v.At(i)
		if isNaN(leaf, x) {
			continue
		}
		if !ok || less(x, lo) {
			lo = x
		}
		if !ok || less(hi, x) {
			hi = x
		}
		ok = true
	}
	if o := orderOf(leaf); ok && (o == orderFloat || o == orderDouble || o == orderFloat16) {
		sign := len(lo) - 1
		lo, hi = bytes.Clone(lo), bytes.Clone(hi)
		if magnitudeZero(lo) {
			lo[sign] = 0x80
		}
		if magnitudeZero(hi) {
			hi[sign] = 0
		}
	}
	return lo, hi, ok
}

func magnitudeZero(b []byte) bool {
	for i, x := range b {
		if x != 0 && (i < len(b)-1 || x != 0x80) {
			return false
		}
	}
	return true
}

func slowFloat(leaf *schema.Column, b []byte) float64 {
	switch len(b) {
	case 2:
		return float64(float16.FromLEBytes(b).Float32())
	case 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func isNaN(leaf *schema.Column, b []byte) bool {
	name := leaf.Name()
	return (name == "float" || name == "double" || name == "float16") && math.IsNaN(slowFloat(leaf, b))
}

func slowLess(leaf *schema.Column) func(a, b []byte) bool {
	le := func(b []byte) uint64 {
		if len(b) == 4 {
			return uint64(binary.LittleEndian.Uint32(b))
		}
		return binary.LittleEndian.Uint64(b)
	}
	signed := func(b []byte) int64 {
		if len(b) == 4 {
			return int64(int32(le(b)))
		}
		return int64(le(b))
	}
	number := func(b []byte) *big.Int {
		x := new(big.Int).SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return x
	}
	switch leaf.Name() {
	case "int32", "date", "int64", "timestamp", "dec32":
		return func(a, b []byte) bool { return signed(a) < signed(b) }
	case "uint32", "uint64":
		return func(a, b []byte) bool { return le(a) < le(b) }
	case "float", "double", "float16":
		return func(a, b []byte) bool { return slowFloat(leaf, a) < slowFloat(leaf, b) }
	case "bool", "binary", "string", "uuid", "flba1":
		return func(a, b []byte) bool { return string(a) < string(b) }
	case "decfixed":
		return func(a, b []byte) bool { return number(a).Cmp(number(b)) < 0 }
	}
	// Of INT96 and INTERVAL there are none.
	return nil
}

func TestDecimalsOfDifferentLength(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"\x01", "\x00\x01", 0}, {"\xff", "\xff\xff\xff", 0}, {"", "\x00", 0}, {"\x80", "\x7f", -1},
		{"\xff\x00", "\xff", -1}, {"\x01\x00", "\x02", 1}, {"\x00\x80", "\x80", 1}, {"", "\xff", 1},
	} {
		if got := compareDecimal([]byte(c.a), []byte(c.b)); sign(got) != c.want || sign(compareDecimal([]byte(c.b), []byte(c.a))) != -c.want {
			t.Errorf("%x and %x: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func sign(x int) int { return min(1, max(-1, x)) }

func fill(t testing.TB, e *ChunkEncoder, v *column.Vector) Chunk {
	t.Helper()
	if err := e.Append(v, 0, v.Rows); err != nil {
		t.Fatal(err)
	}
	c, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEncodingsFollowFromTheData(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		leaf       string
		card, rows int
		dictionary bool
	}{
		{"required.string", 20, 5000, true},
		{"required.int64", 20, 5000, true},
		{"optional.uuid", 20, 5000, true},
		{"required.string", 20, 40, false},   // too few values to ask
		{"required.string", 0, 5000, false},  // all differ
		{"required.string", 300, 500, false}, // too many differ
		{"required.bool", 2, 5000, false},
		{"required.flba1", 250, 1000, false}, // codes would be as long as the values
	} {
		leaf := leafNamed(t, c.leaf)
		v := newVectorGen(rng, leaf, c.card, 0).vector(c.rows)
		ch := fill(t, NewChunkEncoder(leaf, Options{PageBytes: 10_000}), v)
		if ch.HasDictionary() != c.dictionary {
			t.Errorf("%s, %d of %d values differ: dictionary %v", c.leaf, c.card, c.rows, ch.HasDictionary())
		}
		if ch.HasDictionary() && ch.Pages[0].Levels > c.card {
			t.Errorf("%s: %d entries for %d values", c.leaf, ch.Pages[0].Levels, c.card)
		}
	}
}

// TestADictionaryThatStopsPayingIsLeft has pages of few values first and then pages in which all
// differ: the first keep their codes, and the dictionary holds only what they use.
func TestADictionaryThatStopsPayingIsLeft(t *testing.T) {
	leaf := leafNamed(t, "required.int64")
	rng := rand.New(rand.NewPCG(2, 2))
	e := NewChunkEncoder(leaf, Options{PageBytes: 8 << 10})
	few, many := newVectorGen(rng, leaf, 10, 0).vector(4096), newVectorGen(rng, leaf, 0, 0).vector(4096)
	if err := e.Append(few, 0, 4096); err != nil {
		t.Fatal(err)
	}
	c := fill(t, e, many)
	var codes, plain int
	for _, p := range c.DataPages() {
		switch {
		case p.Encoding == parquet.Encodings.RLEDict && plain == 0:
			codes++
		case p.Encoding == parquet.Encodings.Plain:
			plain++
		default:
			t.Errorf("a page in %s after %d PLAIN pages", p.Encoding, plain)
		}
	}
	if codes < 4 || plain < 3 || c.Pages[0].Levels != 10 {
		t.Errorf("%d pages of codes, %d PLAIN, %d entries", codes, plain, c.Pages[0].Levels)
	}
}

func TestAHintStopsHopelessDictionaries(t *testing.T) {
	leaf := leafNamed(t, "required.int64")
	rng := rand.New(rand.NewPCG(3, 3))
	hint := new(Hint)
	e := NewChunkEncoder(leaf, Options{Hint: hint})
	unique, few := newVectorGen(rng, leaf, 0, 0).vector(3000), newVectorGen(rng, leaf, 5, 0).vector(3000)
	for range maxHintMisses - 1 {
		fill(t, e, unique)
	}
	if c := fill(t, e, few); !c.HasDictionary() {
		t.Error("gave up too early")
	}
	for range maxHintMisses {
		fill(t, e, unique)
	}
	if c := fill(t, e, few); c.HasDictionary() {
		t.Error("did not give up")
	}
}

func TestASmallChunkIsOnePlainPage(t *testing.T) {
	leaf := leafNamed(t, "optional.string")
	rng := rand.New(rand.NewPCG(4, 4))
	v := newVectorGen(rng, leaf, 3, 0.1).vector(150)
	c := fill(t, NewChunkEncoder(leaf, Options{Codec: Zstd, PageBytes: 100, SmallBytes: 4096}), v)
	if len(c.Pages) != 1 || c.Codec != None || c.Pages[0].Encoding != parquet.Encodings.Plain || c.Nulls == 0 {
		t.Errorf("%d pages, codec %s, %s", len(c.Pages), c.Codec, c.Pages[0].Encoding)
	}
}

func TestPagesFollowTheirSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, name := range []string{"required.int64", "optional.string", "repeated.int32", "required.bool"} {
		leaf := leafNamed(t, name)
		v := newVectorGen(rng, leaf, 0, 0.2).vector(20_000)
		const pageBytes = 8 << 10
		c := fill(t, NewChunkEncoder(leaf, Options{PageBytes: pageBytes, DictionaryBytes: -1}), v)
		for i, p := range c.Pages[:len(c.Pages)-1] {
			if p.Uncompressed > pageBytes+200 || name != "required.bool" && p.Uncompressed < pageBytes/2 {
				t.Errorf("%s: page %d has %d bytes", name, i, p.Uncompressed)
			}
		}
		if len(c.Pages) < 2 {
			t.Errorf("%s: %d pages", name, len(c.Pages))
		}
	}
}

func TestVerbatimPagesAreTaken(t *testing.T) {
	leaf := leafNamed(t, "optional.string")
	rng := rand.New(rand.NewPCG(6, 6))
	o := Options{Codec: Snappy, PageBytes: 2000, DictionaryBytes: -1}
	want := column.New(leaf)
	out := NewChunkEncoder(leaf, Options{Codec: Snappy, PageBytes: 3000})
	for i := range 6 {
		v := newVectorGen(rng, leaf, 5*i, 0.2).vector(1000)
		for r := range v.Rows {
			copyRow(want, v, r)
		}
		if i%2 == 0 {
			if err := out.Append(v, 0, v.Rows); err != nil {
				t.Fatal(err)
			}
			continue
		}
		c := fill(t, NewChunkEncoder(leaf, o), v)
		if err := out.AppendVerbatim(&c); err != nil {
			t.Fatal(err)
		}
	}
	c, err := out.Finish()
	if err != nil {
		t.Fatal(err)
	}
	got := column.New(leaf)
	if err := DecodeChunk(leaf, &c, got); err != nil {
		t.Fatal(err)
	}
	if err := diff(got, want); err != nil {
		t.Fatal(err)
	}
	coded := fill(t, NewChunkEncoder(leaf, Options{Codec: Snappy}), newVectorGen(rng, leaf, 2, 0).vector(1000))
	other := fill(t, NewChunkEncoder(leaf, Options{Codec: Zstd, DictionaryBytes: -1}), newVectorGen(rng, leaf, 2, 0).vector(1000))
	if out.AppendVerbatim(&coded) == nil || out.AppendVerbatim(&other) == nil {
		t.Error("pages with a dictionary or of another codec were taken")
	}
}

func TestMemoryIsCounted(t *testing.T) {
	leaf := leafNamed(t, "required.string")
	if size := unsafe.Sizeof(ChunkEncoder{}); size > 200 {
		t.Errorf("an empty encoder takes %d bytes", size)
	}
	e := NewChunkEncoder(leaf, Options{Codec: Snappy})
	if e.Bytes() != 0 {
		t.Errorf("an empty encoder holds %d bytes", e.Bytes())
	}
	v := newVectorGen(rand.New(rand.NewPCG(7, 7)), leaf, 0, 0).vector(50_000)
	if err := e.Append(v, 0, v.Rows); err != nil {
		t.Fatal(err)
	}
	if n, least := e.Bytes(), int64(len(v.Values.Data))/2; n < least || n > 4*least {
		t.Errorf("%d bytes for %d bytes of values", n, len(v.Values.Data))
	}
	est := e.EncodedEstimate()
	c, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if size := c.CompressedSize(); est < size*9/10 || est > size*11/10 {
		t.Errorf("estimate %d for %d bytes", est, size)
	}
	if e.Bytes() == 0 {
		t.Error("the buffers that Finish kept are not counted")
	}
	if e.Release(); e.Bytes() != 0 {
		t.Errorf("%d bytes after Release", e.Bytes())
	}
}

func TestWrongVectorsAreRefused(t *testing.T) {
	e := NewChunkEncoder(leafNamed(t, "required.int64"), Options{})
	v := newVectorGen(rand.New(rand.NewPCG(8, 8)), leafNamed(t, "optional.int64"), 0, 0).vector(3)
	if err := e.Append(v, 0, 3); err == nil || !strings.Contains(err.Error(), "optional.int64") {
		t.Errorf("got %v", err)
	}
	v = newVectorGen(rand.New(rand.NewPCG(8, 8)), leafNamed(t, "required.int64"), 0, 0).vector(3)
	if e.Append(v, 0, 4) == nil || e.Append(v, 2, 1) == nil || e.Append(v, -1, 1) == nil || e.AppendRows(v, []uint32{0, 3}) == nil {
		t.Error("rows that are not there were taken")
	}
}
