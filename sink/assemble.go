package sink

import (
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/parquet/schema"

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
type assembler struct {
	w      *Writer
	codec  block.Codec
	leaves []*schema.Column
	open   []*block.ChunkEncoder // one per leaf
	vecs   []*column.Vector      // one per leaf, to decode into

	key       model.PartitionKey
	count     int // files of key so far
	keyRows   int64
	keyBytes  int64
	file      *outFile // nil when none is open
	groupRows int64
	groupSize int64   // encoded size of the open row group, estimated
	kept      []Piece // whose pages the open row group refers to

	files  []model.StagedFile
	values int64
	hot    []model.ValueSize
}

func newAssembler(w *Writer, codec block.Codec) *assembler {
	a := &assembler{w: w, codec: codec}
	for i := range w.cfg.Schema.NumColumns() {
		leaf := w.cfg.Schema.Column(i)
		a.leaves = append(a.leaves, leaf)
		a.open = append(a.open, block.NewChunkEncoder(leaf, block.Options{Codec: codec, PageBytes: pageBytes}))
		a.vecs = append(a.vecs, column.New(leaf))
	}
	return a
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
		a.values++
		a.hot = append(a.hot, model.ValueSize{Key: a.key, Rows: a.keyRows, Bytes: a.keyBytes})
		if len(a.hot) >= 4*model.MaxHotKeys {
			a.hot = hottest(a.hot)
		}
	}
	a.count, a.keyRows, a.keyBytes = 0, 0, 0
	return nil
}

// append adds a piece and closes the row group, and the file, when the cut after it is the nearest
// to their target. kept says that the row group refers to the piece's bytes; it is released with it.
func (a *assembler) append(p Piece) (kept bool, err error) {
	if p.Rows == 0 {
		return false, nil
	}
	if len(p.Chunks) != len(a.leaves) {
		return false, model.Failf(model.ReasonCorruption, "map output %s: a piece of partition %s has %d columns, the output %d",
			p.From, a.key, len(p.Chunks), len(a.leaves))
	}
	if a.file == nil {
		if a.file, err = a.w.create(); err != nil {
			return false, err
		}
	}
	for i := range p.Chunks {
		if a.verbatim(&p.Chunks[i]) && !kept {
			kept = true
			a.kept = append(a.kept, p)
		}
		if err := a.appendChunk(i, &p.Chunks[i]); err != nil {
			if errors.Is(err, block.ErrCorrupt) {
				err = model.Failf(model.ReasonCorruption, "map output %s: partition %s, column %s: %w",
					p.From, a.key, a.leaves[i].Path(), err)
			}
			return kept, err
		}
	}
	a.groupRows += p.Rows
	a.keyRows += p.Rows

	size := int64(0)
	for _, e := range a.open {
		size += e.EncodedEstimate()
	}
	piece := size - a.groupSize
	a.groupSize = size
	switch conf := &a.w.cfg.Conf; {
	case a.file.pos+size+piece/2 >= conf.TargetFileBytes || a.file.groups == maxRowGroups-1 && size+piece/2 >= conf.RowGroupBytes:
		return kept, a.endFile()
	case size+piece/2 >= conf.RowGroupBytes:
		return kept, a.endGroup()
	}
	return kept, nil
}

// verbatim reports whether the pages of a chunk go to the file as they are.
func (a *assembler) verbatim(c *block.Chunk) bool {
	return c.Codec == a.codec && !c.HasDictionary() && len(c.Pages) > 0 &&
		c.UncompressedSize() >= int64(len(c.Pages))*verbatimPageBytes
}

func (a *assembler) appendChunk(leaf int, c *block.Chunk) error {
	if a.verbatim(c) {
		return a.open[leaf].AppendVerbatim(c)
	}
	v := a.vecs[leaf]
	v.Reset()
	if err := block.DecodeChunk(a.leaves[leaf], c, v); err != nil {
		return err
	}
	v.Index()
	return a.open[leaf].Append(v, 0, v.Rows)
}

// endGroup writes the open row group.
func (a *assembler) endGroup() error {
	if a.groupRows == 0 {
		return nil
	}
	chunks := make([]block.Chunk, len(a.open))
	for i, e := range a.open {
		var err error
		if chunks[i], err = e.Finish(); err != nil {
			return err
		}
		if chunks[i].Rows != a.groupRows {
			return model.Failf(model.ReasonInternal, "partition %s: column %s has %d rows in a row group of %d",
				a.key, a.leaves[i].Path(), chunks[i].Rows, a.groupRows)
		}
	}
	start := a.file.pos
	if err := a.file.writeGroup(chunks, a.groupRows); err != nil {
		return err
	}
	a.w.wrote(a.groupRows, a.file.pos-start, 0)
	a.groupRows, a.groupSize = 0, 0
	a.releaseAll()
	return nil
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
	a.files = append(a.files, staged)
	a.w.wrote(0, staged.Bytes-body+int64(len(magic)), 1)
	return nil
}

func (a *assembler) releaseAll() {
	for _, p := range a.kept {
		p.release()
	}
	a.kept = a.kept[:0]
}

// abort removes what was staged. The lane's goroutine has ended.
func (a *assembler) abort() error {
	var errs []error
	if a.file != nil {
		errs = append(errs, a.file.abort())
		a.file = nil
	}
	for _, f := range a.files {
		errs = append(errs, removeStaged(a.w.cfg.FS, f.Staged))
	}
	a.files = nil
	return errors.Join(errs...)
}
