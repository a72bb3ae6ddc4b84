package write

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// sealer writes the page store to map outputs.
type sealer struct {
	fs       vfs.FS
	dir      string
	attempt  model.AttemptID
	segments []model.Segment
	entries  [][]store.Entry // of each segment
	buf      []byte
}

// seal writes every closed piece to one more segment: partitions in the order of their keys, the
// pieces of a partition in the order in which they were cut. Nothing is written when there is none.
func (s *sealer) seal(ctx context.Context, pages *pageStore, keys []model.PartitionKey) (err error) {
	ids := make([]uint32, 0, len(keys))
	for id := range keys {
		if id < len(pages.leaves[0].parts) && pages.numPieces(uint32(id)) > 0 {
			ids = append(ids, uint32(id))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(a, b uint32) int { return keys[a].Compare(keys[b]) })

	w, err := store.NewWriter(s.fs, s.dir, s.attempt, len(s.segments))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort())
		}
	}()
	var piece block.Piece
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		for i := range pages.numPieces(id) {
			if err := pages.piece(id, i, &piece); err != nil {
				return err
			}
			if s.buf, err = block.AppendPiece(s.buf[:0], &piece); err != nil {
				return err
			}
			if err := w.Append(keys[id], s.buf, piece.Rows); err != nil {
				return err
			}
		}
	}
	seg, err := w.Seal()
	if err != nil {
		return err
	}
	s.segments = append(s.segments, seg)
	s.entries = append(s.entries, w.Entries())
	return nil
}

// remove deletes the segments sealed so far.
func (s *sealer) remove() error {
	var errs []error
	for _, seg := range s.segments {
		errs = append(errs, store.Remove(s.fs, seg))
	}
	s.segments = nil
	return errors.Join(errs...)
}
