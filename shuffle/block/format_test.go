package block

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"pgregory.net/rapid"
)

var testHeaders = []Header{
	{Type: DataPage, Uncompressed: 1000, Compressed: 500, CRC: 0xdeadbeef, HasCRC: true, NumValues: 77,
		Encoding: parquet.Encodings.RLEDict, DefEncoding: parquet.Encodings.RLE, RepEncoding: parquet.Encodings.RLE, ValuesCompressed: true},
	{Type: DictionaryPage, Uncompressed: MaxPageBytes, Compressed: MaxPageBytes, CRC: 1, HasCRC: true, NumValues: MaxPageLevels,
		Encoding: parquet.Encodings.Plain, ValuesCompressed: true},
	{Type: DataPage, HasCRC: true, DefEncoding: parquet.Encodings.RLE, RepEncoding: parquet.Encodings.RLE, ValuesCompressed: true},
}

// v2Header is the header of a data page of version 2: 9 values, 2 nulls, 8 rows, levels of 3 and 4
// bytes, values not compressed, and no CRC.
var v2Header = []byte{0x15, 6, 0x15, 200, 1, 0x15, 100,
	0x5c, 0x15, 18, 0x15, 4, 0x15, 16, 0x15, 0, 0x15, 6, 0x15, 8, 0x12, 0, 0}

// headerWithStatistics has fields that are skipped: statistics with binaries, and an unknown list,
// set, double, i64 and booleans.
var headerWithStatistics = []byte{0x15, 0, 0x15, 20, 0x15, 20,
	0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 2, 'a', 'b', 0x38, 0, 0x16, 0, 0x11, 0, 0,
	0x59, 0x25, 2, 4, 0x1a, 0x12, 1, 0x17, 1, 2, 3, 4, 5, 6, 7, 8, 0x16, 5, 0x12, 0x13, 9, 0}

func TestPageHeadersComeBack(t *testing.T) {
	for _, want := range testHeaders {
		b := AppendHeader(nil, &want)
		got, n, err := ParseHeader(append(bytes.Clone(b), 1, 2, 3))
		if err != nil || n != len(b) || got != want {
			t.Errorf("got %+v, %d bytes, %v, want %+v, %d bytes", got, n, err, want, len(b))
		}
		for i := range b {
			if _, _, err := ParseHeader(b[:i]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("the first %d of %d bytes: %v", i, len(b), err)
			}
		}
	}
}

func TestPageHeadersOfOthersAreRead(t *testing.T) {
	h, n, err := ParseHeader(v2Header)
	want := Header{Type: DataPageV2, Uncompressed: 100, Compressed: 50, NumValues: 9, Nulls: 2, Rows: 8, DefBytes: 3, RepBytes: 4}
	if err != nil || n != len(v2Header) || h != want {
		t.Errorf("got %+v, %d, %v", h, n, err)
	}
	h, n, err = ParseHeader(headerWithStatistics)
	want = Header{Type: DataPage, Uncompressed: 10, Compressed: 10, NumValues: 1,
		DefEncoding: parquet.Encodings.RLE, RepEncoding: parquet.Encodings.RLE, ValuesCompressed: true}
	if err != nil || n != len(headerWithStatistics) || h != want {
		t.Errorf("got %+v, %d of %d, %v", h, n, len(headerWithStatistics), err)
	}
}

func TestBadPageHeadersAreRefused(t *testing.T) {
	for what, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":            {[]byte{0}, "missing"},
		"a size below 0":   {[]byte{0x15, 0, 0x15, 1, 0}, "out of range"},
		"a huge size":      {[]byte{0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0}, "out of range"},
		"a long varint":    {[]byte{0x15, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}, "out of range"},
		"no inner struct":  {[]byte{0x15, 0, 0x15, 2, 0x15, 2, 0}, "missing"},
		"page type 9":      {[]byte{0x15, 18, 0x15, 2, 0x15, 2, 0}, "unknown page type"},
		"binary too long":  {[]byte{0x18, 0xff, 0xff, 0xff, 0xff, 0x0f}, "ends too early"},
		"a map":            {[]byte{0x1b, 0, 0}, "unknown field type"},
		"nested too deep":  {bytes.Repeat([]byte{0x1c}, 100), "nested too deep"},
		"lists too deep":   {append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 100)...), "nested too deep"},
		"a list too long":  {[]byte{0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0x0f, 1}, "ends too early"},
		"ids run away":     {[]byte{0x05, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0}, "out of range"},
		"wrong inner part": {[]byte{0x15, 0, 0x15, 2, 0x15, 2, 0x4c, 0x15, 2, 0x15, 0, 0, 0}, "missing"},
	} {
		if _, _, err := ParseHeader(c.b); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", what, err, c.want)
		}
	}
}

func TestHybridComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 32).Draw(t, "width")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var vals []uint32
		for range rapid.IntRange(0, 30).Draw(t, "runs") {
			run, same := 1+rng.IntN(50), rng.IntN(2) == 0
			v := rng.Uint32()
			for range run {
				if !same {
					v = rng.Uint32()
				}
				vals = append(vals, v>>(32-width))
			}
		}
		b := appendHybrid([]byte("x"), vals, width)[1:]
		got := make([]uint32, len(vals))
		n, err := decodeHybrid(got, append(bytes.Clone(b), 0xff), width)
		if err != nil || n != len(b) || !reflect.DeepEqual(got, vals) && len(vals) > 0 {
			t.Fatalf("took %d of %d bytes, %v", n, len(b), err)
		}
		for i := range b { // whatever is cut off is missed, also with the rest of the array behind it
			if _, err := decodeHybrid(got, b[:i:i], width); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%d of %d bytes: %v", i, len(b), err)
			}
		}
		if limit := 8 + (len(vals)+7)/8*width + len(vals)/8; len(b) > limit {
			t.Fatalf("%d values of %d bits take %d bytes", len(vals), width, len(b))
		}
	})
}

func TestBadHybridIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		b        []byte
		n, width int
	}{
		"a run of none":         {[]byte{0, 1, 16, 1}, 8, 1},
		"a run too long":        {[]byte{20, 1}, 9, 1},
		"a packed run of none":  {[]byte{1}, 8, 1},
		"packed runs too long":  {[]byte{5, 0, 0}, 8, 1},
		"a value too wide":      {[]byte{16, 2}, 8, 1},
		"a huge packed run":     {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 8, 32},
		"more than 32 bits":     {[]byte{16, 0, 0, 0, 0, 0}, 8, 33},
		"a varint without end":  {[]byte{0x80, 0x80}, 8, 1},
		"the value is cut off":  {[]byte{16, 1}, 8, 9},
		"groups are cut off":    {[]byte{3, 1}, 8, 9},
		"nothing where 8 are":   {nil, 8, 1},
		"a width of 0, no runs": {nil, 1, 0},
	} {
		if _, err := decodeHybrid(make([]uint32, c.n), c.b, c.width); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	// A width of 0 has runs without values: other writers have it for one dictionary entry.
	if n, err := decodeHybrid(make([]uint32, 8), []byte{16}, 0); err != nil || n != 1 {
		t.Errorf("a width of 0: %d, %v", n, err)
	}
}

func TestCodecsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(allCodecs).Draw(t, "codec")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		src := randomBytes(rng, rapid.SampledFrom([]int{0, 1, 100, 10_000, 200_000}).Draw(t, "size"))
		if rapid.Bool().Draw(t, "same") {
			clear(src)
		}
		b, err := c.Compress([]byte("before"), src)
		if err != nil || string(b[:6]) != "before" {
			t.Fatalf("%v", err)
		}
		b = b[6:]
		got, err := c.Decompress([]byte("before"), b, len(src))
		if err != nil || !bytes.Equal(got[6:], src) || string(got[:6]) != "before" {
			t.Fatalf("%s: %v", c, err)
		}
		for _, size := range []int{-1, len(src) - 1, len(src) + 1, MaxPageBytes + 1} {
			if _, err := c.Decompress(nil, b, size); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s: %d bytes as %d: %v", c, len(src), size, err)
			}
		}
		// arrow-go reads what is written here.
		codec, err := compress.GetCodec(c.Parquet())
		if err != nil {
			t.Fatal(err)
		}
		if len(src) > 0 && c != None {
			if out := codec.Decode(make([]byte, len(src)), b); !bytes.Equal(out, src) {
				t.Fatalf("arrow-go reads %s differently", c)
			}
		}
	})
}

func TestGarbageIsNoCompressedPage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range allCodecs[1:] {
		for range 300 {
			good, err := c.Compress(nil, bytes.Repeat([]byte("abcdefg "), 100))
			if err != nil {
				t.Fatal(err)
			}
			good[rng.IntN(len(good))] ^= byte(1 + rng.IntN(255))
			if out, err := c.Decompress(nil, good, 800); err == nil && len(out) != 800 {
				t.Fatalf("%s: %d bytes", c, len(out))
			} else if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s: %v", c, err)
			}
		}
		if _, err := c.Decompress(nil, []byte("garbage"), 1<<29); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: half a gigabyte from seven bytes: %v", c, err)
		}
	}
	if _, err := Codec(5).Compress(nil, []byte("x")); err == nil {
		t.Error("an unknown codec compressed")
	}
	if _, err := Codec(5).Decompress(nil, []byte("x"), 1); err == nil {
		t.Error("an unknown codec decompressed")
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range allCodecs {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
		if got, err := FromParquet(c.Parquet()); err != nil || got != c {
			t.Errorf("%s from Parquet: %v, %v", c, got, err)
		}
	}
	for _, p := range []compress.Compression{compress.Codecs.Brotli, compress.Codecs.Lzo, compress.Codecs.Lz4, -1, 256} {
		if _, err := FromParquet(p); err == nil {
			t.Errorf("codec %d was taken", p)
		}
	}
	if _, err := ParseCodec("brotli"); err == nil || !strings.Contains(err.Error(), "want none, snappy") {
		t.Errorf("got %v", err)
	}
}
