package sink

import (
	"github.com/sluice-engine/sluice/model"
)

// Partition is a partition whose pieces come as they are made, beside those of others. It keeps its
// file open from one piece to the next. Its methods are called by one goroutine at a time; different
// partitions of a writer may be used at the same time.
type Partition struct{ asm assembler }

// Partition begins a partition. Nothing is written before its first piece. Every partition must be
// closed before the writer, unless that is aborted. It must not be one that Append or an earlier call
// got: their files would have the same names.
func (w *Writer) Partition(key model.PartitionKey) *Partition {
	p := &Partition{asm: assembler{w: w, key: key}}
	w.book.Lock()
	defer w.book.Unlock()
	w.open[p] = struct{}{}
	return p
}

// Append adds the next piece, which the partition owns from then on: it is released when its bytes
// are not needed any more, also when Append fails.
func (p *Partition) Append(piece Piece) error {
	kept, err := p.asm.append(piece)
	if !kept {
		piece.release()
	}
	return err
}

// Bytes is the size of the row group that is not written yet; 0 when the last piece closed it.
func (p *Partition) Bytes() int64 { return p.asm.groupSize }

// Close finishes the partition's files.
func (p *Partition) Close() error {
	if err := p.asm.endKey(); err != nil {
		return err
	}
	w := p.asm.w
	w.book.Lock()
	defer w.book.Unlock()
	delete(w.open, p)
	return nil
}
