package codec

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/snappy"
)

// samples are blocks of every kind: empty, shorter than a literal, compressible, incompressible,
// and longer than snappy's 64 KiB window.
func samples() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	return map[string][]byte{
		"empty": {},
		"one":   {7},
		"text":  bytes.Repeat([]byte("a row of an event landing set, "), 9_000),
		"noise": noise,
	}
}

func TestSnappyAndArrowGoReadEachOther(t *testing.T) {
	own, err := compress.GetCodec(compress.Codecs.Snappy)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := own.(Snappy); ok {
		t.Fatal("importing the package already replaced arrow-go's codec")
	}
	for name, want := range samples() {
		t.Run(name, func(t *testing.T) {
			for _, pair := range []struct{ enc, dec compress.Codec }{{Snappy{}, own}, {own, Snappy{}}} {
				dst := make([]byte, pair.enc.CompressBound(int64(len(want))))
				block := pair.enc.Encode(dst[:0], want)
				if len(want) > 0 && &block[0] != &dst[0] {
					t.Errorf("%T.Encode allocated though dst was large enough", pair.enc)
				}
				got, err := compress.Decode(pair.dec, make([]byte, len(want)), block)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%T wrote what %T does not read back", pair.enc, pair.dec)
				}
			}
		})
	}
}

func TestSnappyRefusesDamagedBlocks(t *testing.T) {
	block := Snappy{}.EncodeLevel(nil, samples()["text"], 9)
	for name, bad := range map[string][]byte{
		"empty": {}, "cut": block[:len(block)-1], "length beyond 4 GiB": {0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	} {
		if _, err := compress.Decode(Snappy{}, nil, bad); err == nil {
			t.Errorf("%s: decoded without an error", name)
		}
	}
}

func TestSnappyStreams(t *testing.T) {
	for name, want := range samples() {
		var buf bytes.Buffer
		w, err := Snappy{}.NewWriterLevel(&buf, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(Snappy{}.NewReader(&buf))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: stream does not come back: %v", name, err)
		}
	}
}

// TestRegisterFast runs last: it changes the process for the tests after it.
func TestRegisterFast(t *testing.T) {
	RegisterFast()
	RegisterFast()
	got, err := compress.GetCodec(compress.Codecs.Snappy)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := got.(Snappy); !ok {
		t.Errorf("arrow-go's snappy is %T after RegisterFast", got)
	}
}

func BenchmarkEncode(b *testing.B) {
	src := samples()["text"]
	dst := make([]byte, snappy.MaxEncodedLen(len(src)))
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		Snappy{}.Encode(dst, src)
	}
}
