package fetch

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxSpareBuffers is how many buffers a stream keeps for the next pieces. As many small ones as wait
// for the merge come back before the next ones are filled.
const maxSpareBuffers = 2 * queuedPieces

// flight limits the bytes that a stream's remote holders keep in memory.
//
// Invariant: a holder with no piece in memory is never made to wait. The merge needs one piece of
// every holder before it can give any back, so waiting there would be a deadlock.
type flight struct {
	refetches atomic.Int64

	mu   sync.Mutex // guards the rest, and each share
	cond *sync.Cond // used fell, or a share did, or a context ended
	used int64
	max  int64
	free [][]byte
	kept int64 // capacity of free; at most max
}

// share is one holder's part of a flight.
type share struct{ pieces int }

func newFlight(limit int64) *flight {
	f := &flight{max: limit}
	f.cond = sync.NewCond(&f.mu)
	return f
}

// reserve waits until n bytes may be held, or ctx ends.
func (f *flight) reserve(ctx context.Context, s *share, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.pieces > 0 && f.used+n > f.max {
		if err := f.wait(ctx, s, n); err != nil {
			return err
		}
	}
	s.pieces++
	f.used += n
	return nil
}

// wait is called with mu held, and holds it when it returns.
func (f *flight) wait(ctx context.Context, s *share, n int64) error {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock() // or the waiter could miss it between its check and its wait
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})
	defer stop()
	for s.pieces > 0 && f.used+n > f.max {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.cond.Wait()
	}
	return nil
}

// release gives n reserved bytes back, and their buffer.
func (f *flight) release(s *share, n int64, buf []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.pieces--
	f.used -= n
	if size := int64(cap(buf)); size > 0 && len(f.free) < maxSpareBuffers && f.kept+size <= f.max {
		f.free = append(f.free, buf[:0])
		f.kept += size
	}
	f.cond.Broadcast()
}

// buffer returns an empty buffer with room for n bytes: a spare one that fits without waste, or new.
func (f *flight) buffer(n int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.free) - 1; i >= 0; i-- {
		if b := f.free[i]; cap(b) >= n && cap(b)/4 <= n {
			last := len(f.free) - 1
			f.free[i] = f.free[last]
			f.free = f.free[:last]
			f.kept -= int64(cap(b))
			return b
		}
	}
	// A little more than asked for, so that the next piece fits too.
	return make([]byte, 0, n+n/8)
}
