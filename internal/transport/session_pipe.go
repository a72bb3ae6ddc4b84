package transport

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/sluice-engine/sluice/coordinator/core"
)

// pipeDepth is how many messages lie in a pipe before Send blocks, as gRPC's window does.
const pipeDepth = 64

// Pipe is the SessionDialer of one process: each session is a pair of channels, and the backend runs
// in a goroutine of its own. Messages are handed over, not copied.
type Pipe struct {
	backend SessionBackend

	mu     sync.Mutex // guards closed; wg.Add happens under it, so that Close waits for all
	closed bool
	wg     sync.WaitGroup
	ctx    context.Context // ends with the pipe
	cancel context.CancelFunc
}

// NewPipe makes a pipe to a backend. Its owner must Close it.
func NewPipe(backend SessionBackend) *Pipe {
	p := &Pipe{backend: backend}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// OpenSession starts a session with the backend.
func (p *Pipe) OpenSession(ctx context.Context) (ExecutorSession, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrSessionClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { cancel(ErrSessionClosed) })
	up, down := newLane[UpMessage](ctx), newLane[core.Message](ctx)
	served, ended := context.WithCancel(ctx)
	done := make(chan struct{})
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer close(done)
		defer ended()
		defer stop()
		s := &pipeCoordinator{ctx: served, up: up, down: down}
		p.backend.ServeSession(s)
		s.close()
	}()
	return &pipeExecutor{up: up, down: down, cancel: cancel, done: done}, nil
}

// Close breaks the sessions that are open and returns when the backend has left all of them.
func (p *Pipe) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	return nil
}

// lane is one direction of a session.
type lane[T any] struct {
	ctx   context.Context
	queue chan T
	// sent is closed by the sender when it will send no more, gone by the receiver when it will
	// receive no more.
	sent, gone         chan struct{}
	sentOnce, goneOnce sync.Once
}

func newLane[T any](ctx context.Context) *lane[T] {
	return &lane[T]{ctx: ctx, queue: make(chan T, pipeDepth), sent: make(chan struct{}), gone: make(chan struct{})}
}

func (l *lane[T]) endSend() { l.sentOnce.Do(func() { close(l.sent) }) }
func (l *lane[T]) endRecv() { l.goneOnce.Do(func() { close(l.gone) }) }

// send fails with ErrSessionClosed after endSend, with io.EOF after the other side's endRecv.
func (l *lane[T]) send(m T) error {
	for _, end := range []struct {
		c   <-chan struct{}
		err error
	}{{l.sent, ErrSessionClosed}, {l.gone, io.EOF}, {l.ctx.Done(), nil}} {
		select {
		case <-end.c:
			return l.orCause(end.err)
		default:
		}
	}
	select {
	case l.queue <- m:
		return nil
	case <-l.sent:
		return ErrSessionClosed
	case <-l.gone:
		return io.EOF
	case <-l.ctx.Done():
		return l.orCause(nil)
	}
}

func (l *lane[T]) orCause(err error) error {
	if err != nil {
		return err
	}
	return context.Cause(l.ctx)
}

// recv returns what was sent before endSend, then io.EOF.
func (l *lane[T]) recv() (T, error) {
	var zero T
	select {
	case <-l.gone:
		return zero, ErrSessionClosed
	case <-l.ctx.Done():
		return zero, context.Cause(l.ctx)
	default:
	}
	select {
	case m := <-l.queue:
		return m, nil
	case <-l.gone:
		return zero, ErrSessionClosed
	case <-l.ctx.Done():
		return zero, context.Cause(l.ctx)
	case <-l.sent:
	}
	select {
	case m := <-l.queue:
		return m, nil
	default:
		return zero, io.EOF
	}
}

type pipeExecutor struct {
	up     *lane[UpMessage]
	down   *lane[core.Message]
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the backend left the session
}

func (s *pipeExecutor) Send(m UpMessage) error {
	if !saidByExecutor(m) {
		return notSaidByExecutor(m)
	}
	return s.up.send(m)
}

func (s *pipeExecutor) Recv() (core.Message, error) { return s.down.recv() }

func (s *pipeExecutor) Close() error {
	s.up.endSend()
	s.down.endRecv()
	timer := closeTimer()
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
	}
	s.cancel(ErrSessionClosed)
	<-s.done
	return nil
}

type pipeCoordinator struct {
	ctx  context.Context
	up   *lane[UpMessage]
	down *lane[core.Message]
}

func (s *pipeCoordinator) Send(m core.Message) error {
	err := s.down.send(m)
	if errors.Is(err, io.EOF) {
		// The executor closed its end; whether what was sent still arrives is not known.
		return ErrSessionClosed
	}
	return err
}

func (s *pipeCoordinator) Recv() (UpMessage, error) { return s.up.recv() }

func (s *pipeCoordinator) Close() error {
	s.close()
	return nil
}

func (s *pipeCoordinator) close() {
	s.down.endSend()
	s.up.endRecv()
}

func (s *pipeCoordinator) Context() context.Context { return s.ctx }
func (s *pipeCoordinator) Peer() string             { return "this process" }
