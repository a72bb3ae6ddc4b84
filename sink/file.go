package sink

import (
	"bufio"
	"bytes"

	"encoding/binary"
	"errors"
	"sort"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/internal/version"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

// magic begins and ends a Parquet file.
const magic = "PAR1"

// writeBufferBytes gathers small pages into large writes.
const writeBufferBytes = 256 << 10

// outFile is a Parquet file being written under its staged name.
type outFile struct {
	fs     vfs.FS
	path   string
	f      vfs.File
	buf    *bufio.Writer // from the writer's pool
	schema *schema.Schema
	footer *metadata.FileMetaDataBuilder
	index  pageIndex
	pos    int64 // bytes written so far
	rows   int64
	groups int // row groups written so far
}

// writerProperties are what the footer builder has to know.
func writerProperties() *parquet.WriterProperties {
	return parquet.NewWriterProperties(
		parquet.WithCreatedBy("sluice version " + version.Version + " (build " + version.Commit + ")"))
}

// create opens the attempt's next staged file.
func (w *Writer) create() (*outFile, error) {
	o := &outFile{
		fs: w.cfg.FS, path: w.names.staged(w.files.Add(1) - 1), schema: w.cfg.Schema,
		footer: metadata.NewFileMetadataBuilder(w.cfg.Schema, writerProperties(), w.cfg.KeyValue),
	}
	var err error
	if o.f, err = o.fs.CreateNew(o.path); err != nil {
		return nil, err
	}
	o.buf = w.buffer(o.f)
	if err := o.write([]byte(magic)); err != nil {
		return nil, errors.Join(err, o.abort())
	}
	return o, nil
}

// buffer takes a write buffer from the pool.
func (w *Writer) buffer(f vfs.File) *bufio.Writer {
	if b, ok := w.bufs.Get().(*bufio.Writer); ok {
		b.Reset(f)
		return b
	}
	return bufio.NewWriterSize(f, writeBufferBytes)
}

func (o *outFile) write(b []byte) error {
	n, err := o.buf.Write(b)
	o.pos += int64(n)
	return err
}

// writeGroup writes the chunks of a row group in the order of the schema.
func (o *outFile) writeGroup(chunks []block.Chunk, rows int64) error {
	group := o.footer.AppendRowGroup()
	start := o.pos
	for i := range chunks {
		if err := o.writeChunk(group.NextColumnChunk(), &chunks[i]); err != nil {
			return err
		}
	}
	group.SetNumRows(int(rows))
	if err := group.Finish(o.pos-start, int16(o.groups)); err != nil {
		return err
	}
	o.groups++
	o.rows += rows
	return nil
}

// writeChunk writes the pages of a chunk, headers and page CRCs as they are, and makes its metadata
// and its part of the page index.
func (o *outFile) writeChunk(meta *metadata.ColumnChunkMetaDataBuilder, c *block.Chunk) error {
	info := metadata.ChunkMetaInfo{
		NumValues: c.Levels, IndexPageOffset: -1, DataPageOffset: o.pos,
		CompressedSize: c.CompressedSize(), UncompressedSize: c.UncompressedSize(),
	}
	start := o.pos
	stats := metadata.EncodingStats{
		DictEncodingStats: map[parquet.Encoding]int32{}, DataEncodingStats: map[parquet.Encoding]int32{},
	}
	for i := range c.Pages {
		p := &c.Pages[i]
		if p.Dictionary {
			info.DictPageOffset, info.DataPageOffset = o.pos, o.pos+int64(len(p.Bytes))
			stats.DictEncodingStats[p.Encoding]++
		} else {
			stats.DataEncodingStats[p.Encoding]++
		}
		if err := o.write(p.Bytes); err != nil {
			return err
		}
	}
	meta.SetStats(statistics(meta.Descr(), c))
	if err := meta.Finish(info, info.DictPageOffset > 0, false, stats); err != nil {
		return err
	}
	describe(meta, c)
	return o.index.add(meta, c, start)
}

// statistics are the footer's: null count always, minimum and maximum where the encoder kept them.
// They are copied, because they outlive the pieces that the row group was made of.
func statistics(leaf *schema.Column, c *block.Chunk) metadata.EncodedStatistics {
	s := metadata.EncodedStatistics{
		HasNullCount: true, NullCount: c.Nulls, Signed: leaf.SortOrder() == schema.SortSIGNED,
	}
	if c.Min != nil && c.Max != nil {
		s.SetMin(bytes.Clone(c.Min))
		s.SetMax(bytes.Clone(c.Max))
	}
	return s
}

// describe corrects what the builder took from the writer properties: the codec and the encodings
// of this very chunk. The builder makes its statistics from maps; they get a fixed order here, so
// that equal rows make equal files.
func describe(meta *metadata.ColumnChunkMetaDataBuilder, c *block.Chunk) {
	md := meta.Contents().MetaData
	setEnum(&md.Codec, int64(c.Codec.Parquet()))
	used := map[parquet.Encoding]bool{parquet.Encodings.RLE: true} // of the levels
	for i := range c.Pages {
		used[c.Pages[i].Encoding] = true
	}
	md.Encodings = md.Encodings[:0]
	for e := range parquet.Encodings.ByteStreamSplit + 1 {
		if used[e] {
			md.Encodings = appendEnum(md.Encodings, int64(e))
		}
	}
	sort.Slice(md.EncodingStats, func(i, j int) bool {
		a, b := md.EncodingStats[i], md.EncodingStats[j]
		if a.PageType != b.PageType {
			return a.PageType > b.PageType // the dictionary page comes first
		}
		return a.Encoding < b.Encoding
	})
	if s := md.Statistics; s != nil && s.IsSetMinValue() {
		exact := true // long values have no statistics instead of cut ones
		s.IsMinValueExact, s.IsMaxValueExact = &exact, &exact
	}
}

// setEnum and appendEnum set fields whose type is internal to arrow-go.
func setEnum[T ~int64](dst *T, v int64) { *dst = T(v) }

func appendEnum[T ~int64](dst []T, v int64) []T { return append(dst, T(v)) }

// finish writes the page index and the footer, and hands the file over to be made durable; Close
// waits for that. The name becomes durable with the manifest.
func (o *outFile) finish(w *Writer, final string) (model.StagedFile, error) {
	if err := o.writePageIndex(); err != nil {
		return model.StagedFile{}, err
	}
	meta, err := o.footer.Finish()
	if err != nil {
		return model.StagedFile{}, err
	}
	n, err := meta.WriteTo(counted{o}, nil)
	if err != nil {
		return model.StagedFile{}, err
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(n))
	if err := o.write(append(end, magic...)); err != nil {
		return model.StagedFile{}, err
	}
	if err := o.buf.Flush(); err != nil {
		return model.StagedFile{}, err
	}
	w.bufs.Put(o.buf)
	w.sync(o.f)
	o.f, o.buf = nil, nil
	return model.StagedFile{Staged: o.path, Final: final, Rows: o.rows, Bytes: o.pos}, nil
}

// counted lets the footer be written through write.
type counted struct{ o *outFile }

func (c counted) Write(b []byte) (int, error) {
	before := c.o.pos
	err := c.o.write(b)
	return int(c.o.pos - before), err
}

// abort closes and removes the file.
func (o *outFile) abort() error {
	var err error
	if o.f != nil {
		err = o.f.Close()
		o.f = nil
	}
	return errors.Join(err, removeStaged(o.fs, o.path))
}
