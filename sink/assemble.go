package sink

import (
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/parquet"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

// pageBytes is the target size of an output page, uncompressed.
const pageBytes = 256 << 10

// verbatimPageBytes is the mean page size from which a chunk's pages are taken as they are. Smaller
// ones are decoded and encoded again into full pages.
const verbatimPageBytes = pageBytes / 4

// maxRowGroups is the most row groups a file can have: their ordinal is a 16-bit number.
const maxRowGroups = math.MaxInt16

// assembler turns pieces into row groups and row groups into files, one partition at a time. The
// chunks of a row group are kept in memory until it closes.
//
// The first piece of a row group is only held: if it stays alone its chunks go to the file as they
// are. When another one comes, both are encoded together.
type assembler struct {
	w *Writer

	key       model.PartitionKey
	count     int // files of key so far
	keyRows   int64
	keyBytes  int64
	file      *outFile // nil when none is open
	groupRows int64
	groupSize int64   // encoded size of the open row group, estimated
	first     *Piece  // of the open row group, not encoded yet
	enc       *coders // of the open row group; nil while nothing is encoded
	kept      []Piece // whose pages the open row group refers to
}

// coders encode a row group. They keep their buffers, so the writer uses them again and again.
type coders struct {
	open []*block.ChunkEncoder // one per leaf
	vecs []*column.Vector      // one per leaf, to decode into
}

// coders takes some from the pool.
func (w *Writer) coders() *coders {
	if c, ok := w.idle.Get().(*coders); ok {
		return c
	}
	c := &coders{}
	for _, leaf := range w.leaves {
		c.open = append(c.open, block.NewChunkEncoder(leaf, block.Options{Codec: w.codec, PageBytes: pageBytes}))
		c.vecs = append(c.vecs, column.New(leaf))
	}
	return c
}

// begin goes on to a partition; the files of another one are finished.
func (a *assembler) begin(key model.PartitionKey) error {
	if key == a.key && a.keyRows > 0 {
		return nil
	}
	if err := a.endKey(); err != nil {
		return err
	}
	a.key = key
	return nil
}

// endKey finishes the open file and counts the partition.
func (a *assembler) endKey() error {
	if err := a.endFile(); err != nil {
		return err
	}
	if a.keyRows > 0 {
		a.w.bookValue(model.ValueSize{Key: a.key, Rows: a.keyRows, Bytes: a.keyBytes})
	}
	a.count, a.keyRows, a.keyBytes = 0, 0, 0
	return nil
}

// append adds a piece and closes the row group, and the file, when the cut after it is the nearest
// to their target. It owns the piece from here on, unless it fails before it kept it.
func (a *assembler) append(p Piece) (kept bool, err error) {
	if p.Rows == 0 {
		return false, nil
	}
	if len(p.Chunks) != len(a.w.leaves) {
		return false, model.Failf(model.ReasonCorruption, "map output %s: a piece of partition %s has %d columns, the output %d",
			p.From, a.key, len(p.Chunks), len(a.w.leaves))
	}
	if a.file == nil {
		if a.file, err = a.w.create(); err != nil {
			return false, err
		}
	}
	size := int64(0)
	if a.groupRows == 0 {
		a.first = &p
		size = p.size()
	} else {
		if err := a.encodeFirst(); err != nil {
			return false, err
		}
		if err := a.encode(p); err != nil {
			return false, err
		}
		for _, e := range a.enc.open {
			size += e.EncodedEstimate()
		}
	}
	a.groupRows += p.Rows
	a.keyRows += p.Rows
	piece := size - a.groupSize
	a.groupSize = size
	switch conf := &a.w.cfg.Conf; {
	case a.file.pos+size+piece/2 >= conf.TargetFileBytes || a.file.groups == maxRowGroups-1 && size+piece/2 >= conf.RowGroupBytes:
		return true, a.endFile()
	case size+piece/2 >= conf.RowGroupBytes:
		return true, a.endGroup()
	}
	return true, nil
}

// encodeFirst encodes the piece that was held as the only one of its row group.
func (a *assembler) encodeFirst() error {
	if a.first == nil {
		return nil
	}
	p := *a.first
	a.first = nil
	if err := a.encode(p); err != nil {
		p.release()
		return err
	}
	return nil
}

// encode appends a piece to the open chunks. It is released as soon as nothing refers to its bytes.
func (a *assembler) encode(p Piece) error {
	if a.enc == nil {
		a.enc = a.w.coders()
	}
	refers := false
	for i := range p.Chunks {
		if err := a.encodeChunk(p, i); err != nil {
			return err
		}
		refers = refers || a.verbatim(&p.Chunks[i])
	}
	if refers {
		a.kept = append(a.kept, p)
	} else {
		p.release()
	}
	return nil
}

// verbatim reports whether the pages of a chunk go to the file as they are, between others.
func (a *assembler) verbatim(c *block.Chunk) bool {
	return c.Codec == a.w.codec && !c.HasDictionary() && len(c.Pages) > 0 &&
		c.UncompressedSize() >= int64(len(c.Pages))*verbatimPageBytes
}

// whole reports whether a chunk that is alone in its row group goes to the file as it is, with its
// dictionary. Only small pages are worth another encoding; those of codes count with the values that
// they stand for.
func (a *assembler) whole(c *block.Chunk) bool {
	if c.Codec != a.w.codec || len(c.Pages) == 0 {
		return false
	}
	pages := c.DataPages()
	size, each := int64(0), int64(1)
	if c.HasDictionary() {
		d := &c.Pages[0]
		each = int64(d.Uncompressed / max(d.Levels, 1))
	}
	for i := range pages {
		if p := &pages[i]; p.Encoding == parquet.Encodings.Plain {
			size += int64(p.Uncompressed)
		} else {
			size += int64(p.Levels) * each
		}
	}
	return len(pages) == 1 || size >= int64(len(pages))*verbatimPageBytes
}

func (a *assembler) encodeChunk(p Piece, leaf int) error {
	c := &p.Chunks[leaf]
	if a.verbatim(c) {
		return a.enc.open[leaf].AppendVerbatim(c)
	}
	v := a.enc.vecs[leaf]
	v.Reset()
	if err := block.DecodeChunk(a.w.leaves[leaf], c, v); err != nil {
		if errors.Is(err, block.ErrCorrupt) {
			err = model.Failf(model.ReasonCorruption, "map output %s: partition %s, column %s: %w",
				p.From, a.key, a.w.leaves[leaf].Path(), err)
		}
		return err
	}
	v.Index()
	return a.enc.open[leaf].Append(v, 0, v.Rows)
}

// endGroup writes the open row group.
func (a *assembler) endGroup() error {
	if a.groupRows == 0 {
		return nil
	}
	chunks, err := a.chunks()
	if err != nil {
		return err
	}
	for i := range chunks {
		if chunks[i].Rows != a.groupRows {
			return model.Failf(model.ReasonInternal, "partition %s: column %s has %d rows in a row group of %d",
				a.key, a.w.leaves[i].Path(), chunks[i].Rows, a.groupRows)
		}
	}
	start := a.file.pos
	if err := a.file.writeGroup(chunks, a.groupRows); err != nil {
		return err
	}
	a.w.wrote(a.groupRows, a.file.pos-start, 0)
	a.groupRows, a.groupSize = 0, 0
	a.releaseAll()
	if a.enc != nil {
		a.w.idle.Put(a.enc)
		a.enc = nil
	}
	return nil
}

// chunks are those of the open row group.
func (a *assembler) chunks() ([]block.Chunk, error) {
	chunks := make([]block.Chunk, len(a.w.leaves))
	for i := range chunks {
		if a.first != nil {
			if c := &a.first.Chunks[i]; a.whole(c) {
				chunks[i] = *c
				continue
			}
			if a.enc == nil {
				a.enc = a.w.coders()
			}
			if err := a.encodeChunk(*a.first, i); err != nil {
				return nil, err
			}
		}
		var err error
		if chunks[i], err = a.enc.open[i].Finish(); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}

// endFile writes the open row group and the footer.
func (a *assembler) endFile() error {
	if a.file == nil {
		return nil
	}
	if err := a.endGroup(); err != nil {
		return err
	}
	body := a.file.pos
	staged, err := a.file.finish(a.w, a.w.names.final(a.key, a.count))
	if err != nil {
		return err
	}
	a.file = nil
	a.count++
	a.keyBytes += staged.Bytes
	a.w.bookFile(staged)
	a.w.wrote(0, staged.Bytes-body+int64(len(magic)), 1)
	return nil
}

// releaseAll gives back every piece of the open row group.
func (a *assembler) releaseAll() {
	if a.first != nil {
		a.first.release()
		a.first = nil
	}
	for _, p := range a.kept {
		p.release()
	}
	a.kept = a.kept[:0]
}

// abort removes the open file; no goroutine uses the assembler any more.
func (a *assembler) abort() error {
	a.releaseAll()
	if a.file == nil {
		return nil
	}
	err := a.file.abort()
	a.file = nil
	return err
}
