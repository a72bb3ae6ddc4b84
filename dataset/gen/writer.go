package gen

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// magic stands at both ends of a Parquet file.
const magic = "PAR1"

// createdBy names the writer in a form that parquet-mr can parse; of a writer that it cannot, it
// ignores the statistics. A new version here changes every generated file.
const createdBy = "sluice-gen version 1.0.0"

// flushBytes is how much of a file waits in memory. An ordinary file of the landing set has 2 MB
// and is written in one piece.
const flushBytes = 8 << 20

// fileWriter puts pages, chunks and row groups into one Parquet file after another. Pages come
// finished from the columns; the footer is arrow-go's. A fileWriter serves one goroutine.
type fileWriter struct {
	schema   *schema.Schema
	props    *parquet.WriterProperties
	compress func(src []byte) []byte // the result is valid until the next call

	f       io.Writer
	out     []byte // what is not written yet
	written int64  // what is: the offset of out in the file
	footer  *metadata.FileMetaDataBuilder
	group   *metadata.RowGroupMetaDataBuilder
	groups  int16
	chunk   chunk
}

// chunk is what the footer will say of the column chunk under construction.
type chunk struct {
	typ                        parquet.Type
	info                       metadata.ChunkMetaInfo
	extremes                   extremes
	nulls                      int64
	encoding                   parquet.Encoding // of the data pages
	dictionaryPages, dataPages int32
}

func newFileWriter(sc *schema.Schema, codec string) (*fileWriter, error) {
	encode, id, err := newCompressor(codec)
	if err != nil {
		return nil, err
	}
	return &fileWriter{
		schema:   sc,
		compress: encode,
		props:    parquet.NewWriterProperties(parquet.WithCompression(id), parquet.WithCreatedBy(createdBy)),
	}, nil
}

// newCompressor returns the encoder of a codec with a buffer of its own. The codecs are called
// directly: what arrow-go has registered depends on the process, and would show in the bytes.
func newCompressor(codec string) (func([]byte) []byte, compress.Compression, error) {
	var buf []byte
	switch codec {
	case CodecNone:
		return func(src []byte) []byte { return src }, compress.Codecs.Uncompressed, nil
	case CodecSnappy:
		return func(src []byte) []byte {
			if need := s2.MaxEncodedLen(len(src)); need > cap(buf) {
				buf = make([]byte, need)
			}
			return s2.EncodeSnappy(buf, src)
		}, compress.Codecs.Snappy, nil
	case CodecZstd:
		// With a concurrency of one, and EncodeAll, there is no goroutine to end.
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, 0, fmt.Errorf("start zstd: %w", err)
		}
		return func(src []byte) []byte {
			buf = enc.EncodeAll(src, buf[:0])
			return buf
		}, compress.Codecs.Zstd, nil
	}
	return nil, 0, errCodec(codec)
}

// begin starts a file. What was left of another one is forgotten.
func (w *fileWriter) begin(f io.Writer) {
	w.f, w.written, w.groups = f, 0, 0
	w.out = append(w.out[:0], magic...)
	w.footer = metadata.NewFileMetadataBuilder(w.schema, w.props, nil)
}

func (w *fileWriter) beginGroup(rows int) {
	w.group = w.footer.AppendRowGroup()
	w.group.SetNumRows(rows)
}

func (w *fileWriter) endGroup() error {
	err := w.group.Finish(0, w.groups) // sums up its chunks itself
	w.groups++
	return err
}

func (w *fileWriter) beginChunk(typ parquet.Type) {
	w.chunk = chunk{typ: typ, info: metadata.ChunkMetaInfo{IndexPageOffset: -1}}
}

// addPage compresses body and appends it, with its header, to the chunk. Body may be used again.
func (w *fileWriter) addPage(kind pageKind, encoding parquet.Encoding, body []byte, numValues int) {
	compressed := w.compress(body)
	h := pageHeader{
		kind: kind, encoding: encoding, numValues: numValues,
		uncompressedSize: len(body), compressedSize: len(compressed),
		crc: crc32.ChecksumIEEE(compressed),
	}
	start := len(w.out)
	w.out = h.appendTo(w.out)
	header := len(w.out) - start
	w.out = append(w.out, compressed...)

	c := &w.chunk
	at := w.written + int64(start)
	if kind == dictionaryPage {
		c.info.DictPageOffset = at
		c.dictionaryPages++
	} else {
		if c.dataPages == 0 {
			c.info.DataPageOffset = at
		}
		c.encoding = encoding
		c.dataPages++
		c.info.NumValues += int64(numValues)
	}
	c.info.UncompressedSize += int64(header + len(body))
	c.info.CompressedSize += int64(header + len(compressed))
}

// endChunk enters the chunk into the footer, and writes out what has piled up.
func (w *fileWriter) endChunk() error {
	c := &w.chunk
	stats := metadata.EncodingStats{DataEncodingStats: map[parquet.Encoding]int32{c.encoding: c.dataPages}}
	if c.dictionaryPages > 0 {
		stats.DictEncodingStats = map[parquet.Encoding]int32{parquet.Encodings.Plain: c.dictionaryPages}
	}
	b := w.group.NextColumnChunk()
	b.SetStats(c.extremes.encode(c.typ, c.nulls))
	if err := b.Finish(c.info, c.dictionaryPages > 0, false, stats); err != nil {
		return err
	}
	if len(w.out) >= flushBytes {
		return w.flush()
	}
	return nil
}

// end writes the footer and the rest of the file, and returns the file's size.
func (w *fileWriter) end() (int64, error) {
	meta, err := w.footer.Finish()
	if err != nil {
		return 0, err
	}
	start := len(w.out)
	if _, err := meta.WriteTo((*tail)(&w.out), nil); err != nil {
		return 0, err
	}
	w.out = binary.LittleEndian.AppendUint32(w.out, uint32(len(w.out)-start))
	w.out = append(w.out, magic...)
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.written, nil
}

func (w *fileWriter) flush() error {
	n, err := w.f.Write(w.out)
	w.written += int64(n)
	w.out = w.out[:0]
	return err
}

// tail is an io.Writer that appends.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	return len(p), nil
}
