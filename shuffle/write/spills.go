package write

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/shuffle/store"
	"github.com/sluice-engine/sluice/sink"
)

// spills read back the segments that an attempt sealed for want of memory. Several goroutines may
// read at once.
type spills struct {
	attempt          model.AttemptID
	leaves           []*schema.Column
	readers          []*store.Reader
	buffers          sync.Pool // *[]byte
	bytes, refetches atomic.Int64
}

// openSpills opens every segment.
func openSpills(fsys vfs.FS, out *schema.Schema, attempt model.AttemptID, segments []model.Segment) (*spills, error) {
	s := &spills{attempt: attempt}
	for i := range out.NumColumns() {
		s.leaves = append(s.leaves, out.Column(i))
	}
	for _, seg := range segments {
		r, err := store.Open(fsys, seg)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.readers = append(s.readers, r)
	}
	return s, nil
}

// each gives every piece of a partition to do, in the order in which they were made.
func (s *spills) each(ctx context.Context, key model.PartitionKey, do func(sink.Piece) error) error {
	for _, r := range s.readers {
		for _, e := range r.Select(model.ReduceRange{Only: &key}) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p, err := s.read(r, e)
			if err != nil {
				return err
			}
			if err := do(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// read returns one piece. Its bytes go back to the pool with its release.
func (s *spills) read(r *store.Reader, e store.Entry) (sink.Piece, error) {
	buf, ok := s.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	data, err := r.Read(e, *buf)
	if err != nil {
		// Once more: memory can be wrong where the disk is right.
		s.refetches.Add(1)
		if data, err = r.Read(e, *buf); err != nil {
			return sink.Piece{}, err
		}
	}
	*buf = data
	s.bytes.Add(e.Length)
	p, err := block.DecodePiece(s.leaves, data)
	if err != nil {
		return sink.Piece{}, model.Failf(model.ReasonCorruption, "spill of attempt %s: partition %s, piece %d: %w",
			s.attempt, e.Key, e.Seq, err)
	}
	return sink.Piece{Piece: p, From: s.attempt, Release: func() { s.buffers.Put(buf) }}, nil
}

func (s *spills) counters() model.FetchCounters {
	return model.FetchCounters{LocalBytes: s.bytes.Load(), Refetches: s.refetches.Load()}
}

func (s *spills) close() error {
	var errs []error
	for _, r := range s.readers {
		errs = append(errs, r.Close())
	}
	s.readers = nil
	return errors.Join(errs...)
}
