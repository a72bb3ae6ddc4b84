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

func (m *mapper) newSealer() sealer { return sealer{fs: m.FS, dir: m.Dir, attempt: m.Attempt} }

// sealAll closes what is open of some partitions, seals it and takes it out of the page store.
func (s *sealer) sealAll(ctx context.Context, m *mapper, ids []uint32) error {
	if err := m.pages.finish(ctx, m.Threads, ids); err != nil {
		return err
	}
	if err := s.seal(ctx, m.pages, ids, m.assign.Key); err != nil {
		return err
	}
	for _, id := range ids {
		m.pages.drop(id, m.pages.numPieces(id), false)
	}
	m.pages.measure()
	return nil
}

// seal writes the closed pieces of partitions to one more segment: partitions in the order of their
// keys, the pieces of a partition in the order in which they were cut. Nothing is written when there
// is none. ids is put into that order.
func (s *sealer) seal(ctx context.Context, pages *pageStore, ids []uint32, key func(uint32) model.PartitionKey) (err error) {
	if len(ids) == 0 {
		return nil
	}
	byKey(ids, key)

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
			if err := w.Append(key(id), s.buf, piece.Rows); err != nil {
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

// byKey sorts partitions by their keys.
func byKey(ids []uint32, key func(uint32) model.PartitionKey) {
	slices.SortFunc(ids, func(a, b uint32) int { return key(a).Compare(key(b)) })
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
