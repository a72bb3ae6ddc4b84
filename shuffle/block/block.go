// Package block turns the values of Parquet leaves into the bytes that a shuffle moves, and back.
//
// A block holds the rows of one partition from one map attempt. It consists of pieces; a piece is
// a Parquet row group without a footer: a frame with a chunk table, then one column chunk per
// leaf, made of Parquet pages of version 1. The bytes are described in docs/format.md.
//
// A ChunkEncoder gathers values of one leaf into pages; AppendPiece frames the finished chunks;
// DecodePiece checks a frame and finds its pages again; DecodeChunk turns pages into values. Pages
// can also be copied from a piece into a Parquet file without decoding them.
package block

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
)

// ErrCorrupt is in the chain of every error about bytes that are not what an encoder wrote.
var ErrCorrupt = errors.New("corrupt shuffle block")

// corruptf makes an error about bad bytes. It says so once, however deep the cause lies.
func corruptf(format string, a ...any) error {
	err := fmt.Errorf(format, a...)
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// Limits of one page. They bound what a decoder allocates for a page header from outside, and an
// encoder refuses rows that do not fit into them.
const (
	// MaxPageBytes limits the body of a page, before and after compression.
	MaxPageBytes = 1 << 30
	// MaxPageLevels limits the level entries of a page: a run-length code may claim any number of
	// them in a few bytes.
	MaxPageLevels = 1 << 27
	// MaxStatBytes is the longest minimum or maximum that is kept. Longer ones are dropped, not
	// shortened: a shortened one would not be exact any more.
	MaxStatBytes = 64
)

// Page is one page of a column chunk as it stands in a file.
type Page struct {
	Bytes      []byte // header and body
	HeaderLen  int    // the body is Bytes[HeaderLen:]
	Dictionary bool   // the chunk's dictionary; otherwise a data page of version 1
	Encoding   parquet.Encoding
	Rows       int // 0 for a dictionary
	Levels     int // num_values of the header: values and nulls, or entries of a dictionary
	Nulls      int // levels without a value
	// Uncompressed is the size of the header and the uncompressed body, as the column metadata of a
	// Parquet footer adds them up.
	Uncompressed int
	// Min and Max are the smallest and largest value in PLAIN form, byte arrays without their
	// length, in the order of the leaf's type. Both are nil, or neither is.
	Min, Max []byte
}

// Chunk is the column chunk of one leaf: at most one dictionary page, then data pages, each of
// which begins at the start of a row. It owns its bytes unless it came from DecodePiece.
type Chunk struct {
	Codec Codec
	Pages []Page
	Rows  int64
	// Levels counts values and nulls over all data pages: num_values of a Parquet footer.
	Levels int64
	Nulls  int64
	// Min and Max cover all data pages; see Page.
	Min, Max []byte
}

// CompressedSize is the number of bytes of all pages with their headers.
func (c *Chunk) CompressedSize() int64 {
	var n int64
	for i := range c.Pages {
		n += int64(len(c.Pages[i].Bytes))
	}
	return n
}

// UncompressedSize is the size of all pages with their headers, as if nothing were compressed.
func (c *Chunk) UncompressedSize() int64 {
	var n int64
	for i := range c.Pages {
		n += int64(c.Pages[i].Uncompressed)
	}
	return n
}

// HasDictionary reports whether the first page is a dictionary.
func (c *Chunk) HasDictionary() bool { return len(c.Pages) > 0 && c.Pages[0].Dictionary }

// DataPages are the pages after the dictionary.
func (c *Chunk) DataPages() []Page {
	if c.HasDictionary() {
		return c.Pages[1:]
	}
	return c.Pages
}

// Piece is the rows of one partition between two cuts: a row group without a footer.
type Piece struct {
	Rows   int64
	Chunks []Chunk // one per leaf of the output schema, in its order
}
