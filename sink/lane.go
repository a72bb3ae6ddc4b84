package sink

import (
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/parallel"
)

// queuedBatches is how many batches may wait before a lane.
const queuedBatches = 2

// lane is a goroutine that assembles one partition after another.
type lane struct {
	w      *Writer
	asm    *assembler
	in     chan batch
	done   chan struct{} // closed when the goroutine has ended
	queued atomic.Int64  // bytes in the channel and in work
	err    error         // of the goroutine; read after done
}

func startLane(w *Writer) *lane {
	l := &lane{w: w, asm: &assembler{w: w}, in: make(chan batch, queuedBatches), done: make(chan struct{})}
	go l.run()
	return l
}

// run works until the channel is closed. After a failure, in this lane or another one, it only
// releases what still comes, so that Append never blocks.
func (l *lane) run() {
	defer close(l.done)
	for b := range l.in {
		l.attempt(func() error { return l.take(b) })
		for _, p := range b.pieces {
			p.release()
		}
		l.queued.Add(-b.bytes)
	}
	l.attempt(l.asm.endKey)
	l.asm.releaseAll()
}

// attempt does a step unless something failed before.
func (l *lane) attempt(step func() error) {
	if l.w.failed.Load() {
		return
	}
	err := func() (err error) {
		defer parallel.Recover(&err)
		return step()
	}()
	if err != nil {
		l.err = err
		l.w.failed.Store(true)
	}
}

// take appends a batch. Pieces whose bytes the row group keeps are taken out of the batch; the
// caller releases the others.
func (l *lane) take(b batch) error {
	if err := l.asm.begin(b.key); err != nil {
		return err
	}
	for i := range b.pieces {
		kept, err := l.asm.append(b.pieces[i])
		if kept {
			b.pieces[i].Release = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
