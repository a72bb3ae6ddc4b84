package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// The frame of a piece. These constants are durable: they stand in files and cross the network.
// docs/format.md describes the bytes.
const (
	// FormatVersion changes with any change of the bytes. A job is resumed only on blocks of its own
	// version.
	FormatVersion = 1

	pieceMagic   = "SLPC"
	pieceEnd     = "CPLS"
	headerSize   = 32
	trailerSize  = 8
	minPieceSize = headerSize + trailerSize

	maxLeaves = 1 << 20 // far above any real schema; the table must fit its 32-bit length
)

// Flags of a chunk in the table.
const (
	flagDictionary = 1 << iota // the first page is a dictionary
	flagStats                  // minimum and maximum follow
	flagPlain                  // there are PLAIN data pages
	flagCodes                  // there are dictionary-coded data pages
	knownFlags     = flagDictionary | flagStats | flagPlain | flagCodes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendPiece appends the framed piece to dst. Its chunks must hold the same rows, at least one.
func AppendPiece(dst []byte, p *Piece) ([]byte, error) {
	table, err := appendTable(nil, p)
	if err != nil {
		return nil, err
	}
	total := minPieceSize + len(table)
	for i := range p.Chunks {
		total += int(p.Chunks[i].CompressedSize())
	}
	if len(table) > math.MaxUint32 {
		return nil, fmt.Errorf("a chunk table of %d bytes is too long: use larger pages or smaller pieces", len(table))
	}
	start := len(dst)
	dst = grow(dst, total)
	dst = append(dst, pieceMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, FormatVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(total))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Rows))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Chunks)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(table)))
	dst = append(dst, table...)
	for i := range p.Chunks {
		for j := range p.Chunks[i].Pages {
			dst = append(dst, p.Chunks[i].Pages[j].Bytes...)
		}
	}
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, pieceEnd...), nil
}

// appendTable writes the chunk table. Offsets count from the end of the table, so that they do not
// depend on its length.
func appendTable(b []byte, p *Piece) ([]byte, error) {
	if p.Rows < 1 || len(p.Chunks) < 1 || len(p.Chunks) > maxLeaves {
		return nil, fmt.Errorf("a piece of %d rows and %d columns cannot be written", p.Rows, len(p.Chunks))
	}
	var offset int64
	for i := range p.Chunks {
		c := &p.Chunks[i]
		data := c.DataPages()
		if c.Rows != p.Rows || len(data) == 0 || !c.Codec.valid() {
			return nil, fmt.Errorf("column %d has %d rows in %d pages in a piece of %d rows", i, c.Rows, len(c.Pages), p.Rows)
		}
		flags := byte(0)
		if c.HasDictionary() {
			flags |= flagDictionary
		}
		if c.Min != nil {
			flags |= flagStats
		}
		for j := range data {
			if data[j].Encoding == parquet.Encodings.Plain {
				flags |= flagPlain
			} else {
				flags |= flagCodes
			}
		}
		b = append(b, byte(c.Codec), flags)
		b = binary.AppendUvarint(b, uint64(offset))
		b = binary.AppendUvarint(b, uint64(c.CompressedSize()))
		b = binary.AppendUvarint(b, uint64(c.UncompressedSize()))
		b = binary.AppendUvarint(b, uint64(len(c.Pages)))
		b = binary.AppendUvarint(b, uint64(c.Levels))
		b = binary.AppendUvarint(b, uint64(c.Nulls))
		if c.Min != nil {
			b = appendStat(appendStat(b, c.Min), c.Max)
		}
		if len(data) > 1 { // of a single page the chunk has said everything
			b = appendPages(b, data)
		}
		offset += c.CompressedSize()
	}
	return b, nil
}

// appendPages adds what the headers of data pages do not say.
func appendPages(b []byte, pages []Page) []byte {
	for i := range pages {
		p := &pages[i]
		b = binary.AppendUvarint(b, uint64(p.Rows))
		b = binary.AppendUvarint(b, uint64(p.Nulls))
		if p.Min == nil {
			b = append(b, 0)
			continue
		}
		b = appendStat(appendStat(append(b, 1), p.Min), p.Max)
	}
	return b
}

func appendStat(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// DecodePiece checks a whole piece and returns its chunks, whose pages and statistics alias b.
// leaves are those of the output schema. It refuses everything that AppendPiece would not have
// written as far as that can be seen without decompressing: length, rows, CRC32C and end mark of
// the frame, the ranges of the chunk table, the header of every page. Errors have ErrCorrupt in
// their chain.
func DecodePiece(leaves []*schema.Column, b []byte) (*Piece, error) {
	rows, table, chunks, err := openFrame(b, len(leaves))
	if err != nil {
		return nil, err
	}
	p := &Piece{Rows: rows, Chunks: make([]Chunk, len(leaves))}
	r := tableReader{b: table}
	offset := uint64(0)
	for i, leaf := range leaves {
		n, err := r.chunk(leaf, rows, offset, chunks[offset:], &p.Chunks[i])
		if err != nil {
			return nil, corruptf("column %s: %w", leaf.Path(), err)
		}
		offset += n
	}
	if len(r.b) > 0 || offset != uint64(len(chunks)) {
		return nil, corruptf("%d bytes of the chunk table and %d bytes of chunks are left over", len(r.b), uint64(len(chunks))-offset)
	}
	return p, nil
}

// openFrame checks everything around the chunk table and the chunks.
func openFrame(b []byte, leaves int) (rows int64, table, chunks []byte, err error) {
	if len(b) < minPieceSize || string(b[:4]) != pieceMagic {
		return 0, nil, nil, corruptf("%d bytes do not begin like a piece", len(b))
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != FormatVersion {
		return 0, nil, nil, corruptf("format version %d; this program reads version %d", v, FormatVersion)
	}
	if n := binary.LittleEndian.Uint64(b[8:]); n != uint64(len(b)) {
		return 0, nil, nil, corruptf("%d bytes of a piece that has %d", len(b), n)
	}
	end := len(b) - trailerSize
	if string(b[end+4:]) != pieceEnd {
		return 0, nil, nil, corruptf("the end mark of the piece is missing")
	}
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return 0, nil, nil, corruptf("the CRC32C of the piece does not fit its bytes")
	}
	n := binary.LittleEndian.Uint64(b[16:])
	if n < 1 || n > 1<<62 {
		return 0, nil, nil, corruptf("a piece of %d rows", n)
	}
	if got := binary.LittleEndian.Uint32(b[24:]); uint64(got) != uint64(leaves) {
		return 0, nil, nil, corruptf("a piece of %d columns where the schema has %d", got, leaves)
	}
	size := binary.LittleEndian.Uint32(b[28:])
	if uint64(size) > uint64(end-headerSize) {
		return 0, nil, nil, corruptf("a chunk table of %d bytes in a piece of %d", size, len(b))
	}
	return int64(n), b[headerSize : headerSize+size], b[headerSize+size : end], nil
}

// tableReader reads the chunk table. After the first error it reads nothing more.
type tableReader struct {
	b   []byte
	err error
}

func (r *tableReader) fail(format string, a ...any) {
	if r.err == nil {
		r.err, r.b = fmt.Errorf(format, a...), nil
	}
}

// uvarint reads a number of at most limit.
func (r *tableReader) uvarint(limit uint64, what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.fail("bad number of %s in the chunk table", what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *tableReader) byte() byte {
	if len(r.b) == 0 {
		r.fail("the chunk table is cut off")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// stat reads a minimum or maximum. A value of width bytes has exactly those.
func (r *tableReader) stat(width int) []byte {
	n := r.uvarint(MaxStatBytes, "bytes of a minimum or maximum")
	if n > uint64(len(r.b)) || width > 0 && n != uint64(width) {
		r.fail("a minimum or maximum of %d bytes", n)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// stats reads a pair.
func (r *tableReader) stats(width int) (lo, hi []byte) { return r.stat(width), r.stat(width) }

// minPageSize is the least that a page takes: a header with CRC.
const minPageSize = 16

// chunk reads one entry and finds its pages at the start of rest, which begins offset bytes into
// the chunks. It returns how many bytes belong to the chunk.
func (r *tableReader) chunk(leaf *schema.Column, rows int64, offset uint64, rest []byte, c *Chunk) (uint64, error) {
	c.Codec, c.Rows = Codec(r.byte()), rows
	flags := r.byte()
	if got := r.uvarint(1<<62, "the offset"); r.err == nil && got != offset {
		r.fail("the chunk begins at %d where the one before ends at %d", got, offset)
	}
	size := r.uvarint(uint64(len(rest)), "compressed bytes")
	uncompressed := r.uvarint(1<<62, "uncompressed bytes")
	pages := r.uvarint(size/minPageSize, "pages")
	c.Levels = int64(r.uvarint(1<<62, "values"))
	c.Nulls = int64(r.uvarint(uint64(c.Levels), "nulls"))
	width := column.Width(leaf)
	if flags&flagStats != 0 {
		c.Min, c.Max = r.stats(width)
	}
	data := int(pages)
	if flags&flagDictionary != 0 {
		data--
	}
	if r.err == nil {
		switch {
		case !c.Codec.valid() || flags&^byte(knownFlags) != 0:
			r.fail("unknown codec %d or flags %#x", uint8(c.Codec), flags)
		case data < 1:
			r.fail("no data page")
		case leaf.MaxRepetitionLevel() == 0 && c.Levels != rows, c.Levels < rows:
			r.fail("%d values for %d rows", c.Levels, rows)
		case leaf.MaxDefinitionLevel() == 0 && c.Nulls != 0:
			r.fail("%d nulls in a required column", c.Nulls)
		case c.Min != nil && c.Nulls == c.Levels:
			r.fail("a minimum without a value")
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	c.Pages = make([]Page, pages)
	if err := findPages(c, flags, rest[:size]); err != nil {
		return 0, err
	}
	if c.UncompressedSize() != int64(uncompressed) {
		return 0, fmt.Errorf("pages of %d uncompressed bytes where the chunk table says %d", c.UncompressedSize(), uncompressed)
	}
	r.pages(c, width)
	return size, r.err
}

// findPages reads the page headers of a chunk.
func findPages(c *Chunk, flags byte, b []byte) error {
	var encodings byte
	var levels int64
	for i := range c.Pages {
		h, n, err := ParseHeader(b)
		if err != nil {
			return err
		}
		if h.Compressed > len(b)-n {
			return fmt.Errorf("page %d has %d bytes where %d are left", i, h.Compressed, len(b)-n)
		}
		dict := i == 0 && flags&flagDictionary != 0
		p := &c.Pages[i]
		*p = Page{
			Bytes: b[: n+h.Compressed : n+h.Compressed], HeaderLen: n, Dictionary: dict,
			Encoding: h.Encoding, Levels: h.NumValues, Uncompressed: n + h.Uncompressed,
		}
		b = b[len(p.Bytes):]
		switch {
		case !h.HasCRC:
			return fmt.Errorf("page %d has no CRC", i)
		case dict && h.Type == DictionaryPage && h.Encoding == parquet.Encodings.Plain:
			continue
		case dict || h.Type != DataPage:
			return fmt.Errorf("page %d is of type %d in %s", i, h.Type, h.Encoding)
		case h.Encoding == parquet.Encodings.Plain:
			encodings |= flagPlain
		case h.Encoding == parquet.Encodings.RLEDict && c.HasDictionary():
			encodings |= flagCodes
		default:
			return fmt.Errorf("page %d is in %s", i, h.Encoding)
		}
		levels += int64(h.NumValues)
	}
	if len(b) > 0 || levels != c.Levels || encodings != flags&(flagPlain|flagCodes) {
		return fmt.Errorf("%d bytes are left over, pages hold %d values where the chunk table says %d, or their encodings differ", len(b), levels, c.Levels)
	}
	return nil
}

// pages reads what the table says of the data pages; a single one is as the chunk.
func (r *tableReader) pages(c *Chunk, width int) {
	data := c.DataPages()
	if len(data) == 1 {
		p := &data[0]
		p.Rows, p.Nulls, p.Min, p.Max = int(c.Rows), int(c.Nulls), c.Min, c.Max
		return
	}
	var rows, nulls int64
	for i := range data {
		p := &data[i]
		p.Rows = int(r.uvarint(uint64(p.Levels), "rows of a page"))
		p.Nulls = int(r.uvarint(uint64(p.Levels), "nulls of a page"))
		switch r.byte() {
		case 0:
		case 1:
			p.Min, p.Max = r.stats(width)
		default:
			r.fail("unknown flag of a page")
		}
		rows, nulls = rows+int64(p.Rows), nulls+int64(p.Nulls)
	}
	if r.err == nil && (rows != c.Rows || nulls != c.Nulls) {
		r.fail("pages hold %d rows and %d nulls where the chunk has %d and %d", rows, nulls, c.Rows, c.Nulls)
	}
}

// Clone returns a copy of the piece that shares no memory with it, for keeping it beyond the buffer
// that it was decoded from.
func (p *Piece) Clone() *Piece {
	out := &Piece{Rows: p.Rows, Chunks: make([]Chunk, len(p.Chunks))}
	for i := range p.Chunks {
		c := p.Chunks[i]
		c.Min, c.Max = bytes.Clone(c.Min), bytes.Clone(c.Max)
		c.Pages = append([]Page(nil), c.Pages...)
		for j := range c.Pages {
			pg := &c.Pages[j]
			pg.Bytes, pg.Min, pg.Max = bytes.Clone(pg.Bytes), bytes.Clone(pg.Min), bytes.Clone(pg.Max)
		}
		out.Chunks[i] = c
	}
	return out
}
