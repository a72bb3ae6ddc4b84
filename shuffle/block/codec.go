package block

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec compresses the pages of a chunk. The numbers are those of CompressionCodec in
// parquet.thrift. They stand in chunk tables: they are durable.
type Codec uint8

// The codecs that can be written.
const (
	None   Codec = 0
	Snappy Codec = 1
	Gzip   Codec = 2
	Zstd   Codec = 6
	LZ4    Codec = 7 // LZ4_RAW: one block without a frame
)

var codecNames = map[Codec]string{None: "none", Snappy: "snappy", Gzip: "gzip", Zstd: "zstd", LZ4: "lz4"}

// ParseCodec reads a codec's name as in model.JobConf.Codec.
func ParseCodec(name string) (Codec, error) {
	for c, n := range codecNames {
		if n == name {
			return c, nil
		}
	}
	return None, fmt.Errorf("unknown compression %q: want none, snappy, gzip, zstd or lz4", name)
}

// FromParquet returns the codec for the one of a Parquet column chunk. Codecs that can be read but
// not written (brotli, lzo, Hadoop's lz4) are an error.
func FromParquet(p compress.Compression) (Codec, error) {
	if c := Codec(p); p >= 0 && p <= 7 && c.valid() {
		return c, nil
	}
	return None, fmt.Errorf("compression %s cannot be written: choose none, snappy, gzip, zstd or lz4", p)
}

// Parquet is the codec for a Parquet footer.
func (c Codec) Parquet() compress.Compression { return compress.Compression(c) }

func (c Codec) valid() bool { return codecNames[c] != "" }

func (c Codec) String() string {
	if n := codecNames[c]; n != "" {
		return n
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// Compress appends the compressed form of src to dst. dst and src must not overlap.
func (c Codec) Compress(dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Snappy:
		dst = grow(dst, s2.MaxEncodedLen(len(src)))
		n := len(dst)
		return dst[:n+len(s2.EncodeSnappy(dst[n:cap(dst)], src))], nil
	case Zstd:
		return zstdEncoder().EncodeAll(src, dst), nil
	case Gzip:
		return gzipCompress(dst, src)
	case LZ4:
		return lz4Compress(dst, src)
	}
	return nil, fmt.Errorf("compressing with unknown codec %d", uint8(c))
}

// Decompress appends the uncompressed form of src, which must be exactly size bytes, to dst. A
// size that is above MaxPageBytes, or above what src could possibly hold, is refused before memory
// is taken for it.
func (c Codec) Decompress(dst, src []byte, size int) ([]byte, error) {
	if size < 0 || size > MaxPageBytes || uint64(size) > c.maxExpanded(len(src)) {
		return nil, corruptf("%d bytes of %s claim to hold %d bytes", len(src), c, size)
	}
	n := len(dst)
	dst = grow(dst, size)[: n+size : n+size]
	if err := c.decompressInto(dst[n:], src); err != nil {
		return nil, corruptf("%s: %w", c, err)
	}
	return dst, nil
}

// maxExpanded is the most bytes that n compressed bytes can become.
func (c Codec) maxExpanded(n int) uint64 {
	const slack = 64
	switch c {
	case None:
		return uint64(n)
	case Snappy: // a copy of 64 bytes takes 3 bytes
		return uint64(n)*22 + slack
	case Gzip: // a match of 258 bytes takes at least 2 bits
		return uint64(n)*1032 + slack
	case LZ4: // every byte of a long match adds 255
		return uint64(n)*255 + slack
	case Zstd: // a block of 128 KiB that repeats one byte takes 4 bytes
		return uint64(n)*(128<<10)/4 + slack
	}
	return 0
}

// decompressInto fills dst, no more and no less.
func (c Codec) decompressInto(dst, src []byte) error {
	size := len(dst)
	var got int
	switch c {
	case None:
		got = copy(dst, src)
		if len(src) != size {
			got = len(src)
		}
	case Snappy:
		n, err := snappy.DecodedLen(src)
		if err != nil {
			return err
		}
		if n == size {
			if _, err := snappy.Decode(dst, src); err != nil {
				return err
			}
		}
		got = n
	case Zstd:
		out, err := zstdDecoder().DecodeAll(src, dst[:0:size])
		if err != nil {
			return err
		}
		got = len(out)
	case Gzip:
		return gzipDecompress(dst, src)
	case LZ4:
		n, err := lz4.UncompressBlock(src, dst)
		if err != nil {
			return err
		}
		got = n
	default:
		return fmt.Errorf("unknown codec %d", uint8(c))
	}
	if got != size {
		return fmt.Errorf("holds %d bytes where the page header says %d", got, size)
	}
	return nil
}

// zstdEncoder and zstdDecoder are shared: EncodeAll and DecodeAll may be called concurrently and
// reuse as many states as there are processors. The fastest level is the default one: on event
// data the next one costs 1.6 times the time for less than 1 % of the size.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // only bad options make it fail
	}
	return e
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(MaxPageBytes), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // only bad options make it fail
	}
	return d
})

var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Writers  = sync.Pool{New: func() any { return new(lz4.Compressor) }}
)

func gzipCompress(dst, src []byte) ([]byte, error) {
	w := gzipWriters.Get().(*gzip.Writer) //nolint:errcheck // the pool holds nothing else
	defer gzipWriters.Put(w)
	buf := bytes.NewBuffer(dst)
	w.Reset(buf)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// gzipDecompress reads to the end of the stream, because only there its checksum is compared.
func gzipDecompress(dst, src []byte) error {
	r := gzipReaders.Get().(*gzip.Reader) //nolint:errcheck // the pool holds nothing else
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return err
	}
	if n, err := io.ReadFull(r, dst); err != nil {
		return fmt.Errorf("ends after %d of %d bytes: %w", n, len(dst), err)
	}
	switch n, err := r.Read(make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("holds more than the %d bytes of the page header", len(dst))
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func lz4Compress(dst, src []byte) ([]byte, error) {
	w := lz4Writers.Get().(*lz4.Compressor) //nolint:errcheck // the pool holds nothing else
	defer lz4Writers.Put(w)
	n := len(dst)
	dst = grow(dst, lz4.CompressBlockBound(len(src)))
	k, err := w.CompressBlock(src, dst[n:cap(dst)])
	if err != nil {
		return nil, err
	}
	return dst[:n+k], nil
}

// grow makes room for n more bytes; the length stays. It doubles, so that a buffer that starts
// small costs little, and one that is filled bit by bit is copied once on average.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	c := make([]byte, len(b), max(len(b)+n, 2*cap(b), 64))
	copy(c, b)
	return c
}
