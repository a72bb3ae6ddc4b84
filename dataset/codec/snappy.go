// Package codec holds the compression codecs that Sluice puts in the place of arrow-go's own.
//
// What arrow-go v18 calls snappy is klauspost's snappy.Encode, which is s2.EncodeSnappyBetter: it
// makes output about 7 % smaller at half the speed, and takes 36-50 % of all time spent encoding a
// Parquet file. Snappy writes the same format with the fast encoder.
package codec

import (
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// Snappy is the block codec of Parquet's SNAPPY with the fast encoder. The zero value is ready to
// use, also by several goroutines at once.
type Snappy struct{}

var (
	_ compress.ErrorCodec     = Snappy{}
	_ compress.StreamingCodec = Snappy{}
)

var register sync.Once

// RegisterFast makes Snappy the codec that arrow-go's readers and writers use for SNAPPY in this
// process. Calling it again does nothing.
//
// arrow-go keeps its codecs in a map without a lock: RegisterFast must be called before any
// goroutine opens a Parquet file, that is at the start of main or of TestMain. It is an explicit
// call and not an init function, so that importing this package changes nothing for others.
func RegisterFast() {
	register.Do(func() { compress.RegisterCodec(compress.Codecs.Snappy, Snappy{}) })
}

// Encode compresses src into dst, up to dst's capacity; if that is below CompressBound(len(src)),
// the result is newly allocated. dst and src must not overlap. Blocks end at 4 GiB, which is more
// than a Parquet page may hold.
func (Snappy) Encode(dst, src []byte) []byte { return s2.EncodeSnappy(dst, src) }

// EncodeLevel is Encode: snappy has no levels.
func (Snappy) EncodeLevel(dst, src []byte, _ int) []byte { return s2.EncodeSnappy(dst, src) }

// CompressBound is the most bytes that n bytes can become, or negative if n is too large.
func (Snappy) CompressBound(n int64) int64 { return int64(s2.MaxEncodedLen(int(n))) }

// Decode is DecodeWithError for callers of the old interface, which can report a damaged block in
// no other way than by panicking. Use compress.Decode, which returns the error.
func (c Snappy) Decode(dst, src []byte) []byte {
	out, err := c.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return out
}

// DecodeWithError decompresses src into dst if the result fits there, else into a new slice. The
// length is what the block's own header claims: compare it with the page header before decoding
// blocks from outside.
func (Snappy) DecodeWithError(dst, src []byte) ([]byte, error) { return snappy.Decode(dst, src) }

// NewReader reads snappy's framing format. Parquet pages are single blocks and do not use it.
func (Snappy) NewReader(r io.Reader) io.ReadCloser { return io.NopCloser(snappy.NewReader(r)) }

// NewWriter writes snappy's framing format. Close flushes it and does not close w.
func (Snappy) NewWriter(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }

// NewWriterLevel is NewWriter: snappy has no levels.
func (c Snappy) NewWriterLevel(w io.Writer, _ int) (io.WriteCloser, error) {
	return c.NewWriter(w), nil
}
