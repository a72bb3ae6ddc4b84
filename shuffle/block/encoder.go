package block

import (
	"errors"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// Defaults of Options.
const (
	DefaultPageBytes       = 256 << 10
	DefaultSmallBytes      = 4 << 10
	DefaultDictionaryBytes = 256 << 10
)

// Options say how the pages of a chunk are made. The zero value compresses nothing and takes the
// defaults for the rest.
type Options struct {
	Codec Codec
	// PageBytes is the size of values and levels, before encoding, at which a page is closed; 0 means
	// DefaultPageBytes. Every open encoder may hold that much.
	PageBytes int
	// SmallBytes is the size below which a whole chunk becomes one uncompressed PLAIN page; 0 means
	// never. A codec's fixed cost is not worth a few rows that will be encoded again at the reduce
	// side.
	SmallBytes int
	// DictionaryBytes limits a chunk's dictionary page before compression; 0 means
	// DefaultDictionaryBytes, below 0 means that no dictionary is made.
	DictionaryBytes int
	// Hint is shared by the encoders of one leaf; nil means that each decides for itself.
	Hint *Hint
}

// Hint remembers for one leaf how its chunks fared with dictionaries, so that a leaf of unique
// values stops paying for the attempt. It may be shared by goroutines; where the output must not
// depend on their timing, it belongs to one goroutine that appends in row order.
type Hint struct{ misses atomic.Int32 }

// ChunkEncoder gathers values of one leaf and makes a column chunk of them. An empty one is tiny:
// a map task has one for every partition and leaf. It is owned by one goroutine at a time.
type ChunkEncoder struct {
	leaf *schema.Column
	o    Options
}

var errPartial = errors.New("not written yet")

// NewChunkEncoder returns an empty encoder for a leaf of the output schema.
func NewChunkEncoder(leaf *schema.Column, o Options) *ChunkEncoder {
	return &ChunkEncoder{leaf: leaf, o: o}
}

// AppendRows gathers rows of v, given by their indices in ascending order. v must be indexed.
func (e *ChunkEncoder) AppendRows(v *column.Vector, rows []uint32) error { return errPartial }

// Append adds the rows from <= i < to of v, which must be indexed.
func (e *ChunkEncoder) Append(v *column.Vector, from, to int) error { return errPartial }

// AppendVerbatim adds the pages of a chunk as they are.
func (e *ChunkEncoder) AppendVerbatim(c *Chunk) error { return errPartial }

// Rows is the number of rows since the last Finish.
func (e *ChunkEncoder) Rows() int64 { return 0 }

// Bytes is the memory that the encoder holds.
func (e *ChunkEncoder) Bytes() int64 { return 0 }

// EncodedEstimate guesses the size of the chunk if Finish were called now.
func (e *ChunkEncoder) EncodedEstimate() int64 { return 0 }

// Finish closes the chunk. The encoder is empty again and can be used for the next one.
func (e *ChunkEncoder) Finish() (Chunk, error) { return Chunk{}, errPartial }

// Release gives back the buffers that Finish keeps for the next chunk. It must not be called with
// rows inside.
func (e *ChunkEncoder) Release() {}

// DecodeChunk appends the rows of a chunk to v.
func DecodeChunk(leaf *schema.Column, c *Chunk, v *column.Vector) error { return errPartial }

// AppendPiece appends the framed piece to dst.
func AppendPiece(dst []byte, p *Piece) ([]byte, error) { return nil, errPartial }

// DecodePiece checks a whole piece and returns its chunks, whose pages alias b.
func DecodePiece(leaves []*schema.Column, b []byte) (*Piece, error) { return nil, errPartial }
