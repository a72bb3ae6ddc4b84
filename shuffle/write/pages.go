package write

import (
	"context"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

// Sizes of a data page, uncompressed. Small pages compress badly and cost a header each; a page of
// the largest size is as good as any larger one.
const (
	minPageBytes = 4 << 10
	maxPageBytes = 256 << 10
	// minFusedPageBytes is twice what the sink takes as it is. Open pages of that size need not all fit
	// into memory, because what does not is spilled; smaller ones would all be encoded again.
	minFusedPageBytes = 128 << 10
)

// pageRules are what a destination asks of pages.
type pageRules struct {
	smallBytes int // a chunk below it stays one uncompressed page
	minBytes   int // what a page has at least before it is closed as full
}

// What the structs around the bytes take, rounded up: with many small partitions they are a large
// part of the memory.
const (
	encoderSize  = 384
	chunkSize    = 160
	pageInfoSize = 192
)

// pageStore holds the open and the closed chunks of every (partition, leaf).
type pageStore struct {
	leaves []*leafPages
	rules  pageRules
	// outputs[i] is the output leaf of input leaf i, -1 for none.
	outputs []int
	// rows counts what came in since the start, to know what a row takes in memory.
	rows   int64
	perRow int64
	sealed int64 // rows that are no longer held
}

// leafPages is one output leaf: its reader, and for every partition its chunks. It is used by one
// goroutine at a time.
type leafPages struct {
	cursor    *cursor
	column    *schema.Column // in the output schema
	options   block.Options
	pieceRows int64
	parts     []leafPart // by partition id
	held      int64      // bytes in chunks and encoders, as of the last measure
	closed    int64      // bytes in chunks
}

// leafPart is one partition of a leaf. Invariant: between units of work, chunk i of every leaf of a
// partition has the same rows, and so have the open chunks.
type leafPart struct {
	open   *block.ChunkEncoder // nil until the first row
	chunks []block.Chunk
}

func newPageStore(in, out *schema.Schema, inputs []int, codec block.Codec, pieceRows int64, rules pageRules) *pageStore {
	s := &pageStore{rules: rules, outputs: make([]int, in.NumColumns())}
	for i := range s.outputs {
		s.outputs[i] = -1
	}
	for i, input := range inputs {
		s.outputs[input] = i
		s.leaves = append(s.leaves, &leafPages{
			cursor: newCursor(in, input), column: out.Column(i), pieceRows: pieceRows,
			options: block.Options{Codec: codec, SmallBytes: rules.smallBytes, Hint: new(block.Hint)},
		})
	}
	return s
}

// begin makes room for the partitions that were seen by now. Chunks opened from here on have pages
// of at most pageBytes.
func (s *pageStore) begin(partitions, pageBytes int) {
	for _, l := range s.leaves {
		l.options.PageBytes = pageBytes
		if n := partitions - len(l.parts); n > 0 {
			l.parts = append(l.parts, make([]leafPart, n)...)
		}
	}
}

// pageSize is the largest page, but at least least, with which the open pages of all partitions and
// leaves fit into memory, when a partition gets bytes[i] in all. Small partitions never fill a page, so with skewed
// data it is much larger than memory divided by the number of pages.
//
// All leaves count as equally wide. That errs on the safe side: of leaves with the same sum, equal
// ones fill the most of their pages.
func pageSize(bytes []int64, leaves int, memory int64, least int) int {
	page := int64(maxPageBytes)
	for ; page > int64(least); page /= 2 {
		open := int64(0)
		for _, b := range bytes {
			open += min(b, page*int64(leaves))
		}
		if open <= memory {
			break
		}
	}
	return int(page)
}

// append gathers the batch that the cursor read into the open chunks.
func (l *leafPages) append(b *batch) error {
	start := uint32(0)
	for _, g := range b.groups {
		if err := l.appendRows(&l.parts[g.id], b.order[start:g.end]); err != nil {
			return err
		}
		start = g.end
	}
	return nil
}

// appendRows appends rows of the cursor's batch to a partition and cuts it after every pieceRows.
func (l *leafPages) appendRows(p *leafPart, rows []uint32) error {
	if p.open == nil {
		p.open = block.NewChunkEncoder(l.column, l.options)
	}
	for len(rows) > 0 {
		n := min(int64(len(rows)), l.pieceRows-p.open.Rows())
		if err := p.open.AppendRows(l.cursor.vec, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
		if p.open.Rows() == l.pieceRows {
			if err := l.cut(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut closes the open chunk of a partition.
func (l *leafPages) cut(p *leafPart) error {
	c, err := p.open.Finish()
	if err != nil {
		return err
	}
	l.closed += chunkMemory(&c)
	p.chunks = append(p.chunks, c)
	return nil
}

// chunkMemory is what a closed chunk takes.
func chunkMemory(c *block.Chunk) int64 {
	n := chunkSize + int64(len(c.Pages))*pageInfoSize
	for i := range c.Pages {
		n += int64(cap(c.Pages[i].Bytes))
	}
	return n
}

// memory is what a partition takes in the leaf.
func (l *leafPages) memory(id uint32) (n int64) {
	p := &l.parts[id]
	for i := range p.chunks {
		n += chunkMemory(&p.chunks[i])
	}
	if p.open != nil {
		n += p.open.Bytes() + encoderSize
	}
	return n
}

// measure counts the memory that the leaf holds.
func (l *leafPages) measure() {
	l.held = l.closed
	for i := range l.parts {
		if e := l.parts[i].open; e != nil {
			l.held += e.Bytes() + encoderSize
		}
	}
}

// bytes is the memory held by all leaves.
func (s *pageStore) bytes() int64 {
	var n int64
	for _, l := range s.leaves {
		n += l.held
	}
	return n
}

// rowBytes estimates what one more row takes, from the rows that are held now.
func (s *pageStore) rowBytes() int64 {
	if n := s.rows - s.sealed; n > 0 {
		s.perRow = s.bytes() / n
	}
	return s.perRow
}

// finish closes the open chunks of partitions, one leaf per unit of work.
func (s *pageStore) finish(ctx context.Context, threads int, ids []uint32) error {
	return parallel.Each(ctx, threads, len(s.leaves), func(i int) error {
		l := s.leaves[i]
		for _, id := range ids {
			p := &l.parts[id]
			if p.open == nil {
				continue
			}
			if p.open.Rows() > 0 {
				if err := l.cut(p); err != nil {
					return err
				}
			}
			p.open.Release()
			p.open = nil
		}
		return nil
	})
}

// partitions are the ids of those that hold rows, ascending.
func (s *pageStore) partitions() []uint32 {
	var ids []uint32
	for id := range s.leaves[0].parts {
		if p := &s.leaves[0].parts[id]; len(p.chunks) > 0 || p.open != nil && p.open.Rows() > 0 {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

// memory is what a partition takes in all leaves.
func (s *pageStore) memory(id uint32) (n int64) {
	for _, l := range s.leaves {
		n += l.memory(id)
	}
	return n
}

// size is the encoded size of a piece.
func (s *pageStore) size(id uint32, piece int) (n int64) {
	for _, l := range s.leaves {
		n += l.parts[id].chunks[piece].CompressedSize()
	}
	return n
}

// piece assembles piece i of a partition from its leaves. Chunks of p are overwritten.
func (s *pageStore) piece(id uint32, i int, p *block.Piece) error {
	p.Chunks = p.Chunks[:0]
	for _, l := range s.leaves {
		if i >= len(l.parts[id].chunks) {
			return s.uneven(id, l)
		}
		p.Chunks = append(p.Chunks, l.parts[id].chunks[i])
	}
	p.Rows = p.Chunks[0].Rows
	for k, c := range p.Chunks {
		if c.Rows != p.Rows {
			return s.uneven(id, s.leaves[k])
		}
	}
	return nil
}

func (s *pageStore) uneven(id uint32, l *leafPages) error {
	return model.Failf(model.ReasonInternal, "partition %d: column %s was not cut at the rows of column %s",
		id, l.column.Path(), s.leaves[0].column.Path())
}

// numPieces is the number of closed pieces of a partition.
func (s *pageStore) numPieces(id uint32) int { return len(s.leaves[0].parts[id].chunks) }

// drop forgets the first pieces of a partition. Their memory goes to the next ones, unless others still
// refer to it.
func (s *pageStore) drop(id uint32, pieces int, shared bool) {
	for i, l := range s.leaves {
		p := &l.parts[id]
		for k := range p.chunks[:pieces] {
			c := &p.chunks[k]
			n := chunkMemory(c)
			l.closed, l.held = l.closed-n, l.held-n
			if i == 0 {
				s.sealed += c.Rows
			}
			if shared {
				*c = block.Chunk{}
			} else {
				c.Recycle()
			}
		}
		if p.chunks = p.chunks[pieces:]; len(p.chunks) == 0 {
			p.chunks = nil
		}
	}
}

// measure counts the memory of all leaves.
func (s *pageStore) measure() {
	for _, l := range s.leaves {
		l.measure()
	}
}
