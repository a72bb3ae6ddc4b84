package coordinator

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

// maxUnsent is how many messages may wait for one executor; one that takes nothing is cut off, and
// comes back or is lost.
const maxUnsent = 4096

// session is one stream while it lasts.
type session struct {
	id   uint64
	stop context.CancelFunc
	wake chan struct{} // capacity 1

	mu          sync.Mutex // guards the fields below
	unsent      []core.Message
	incarnation model.Incarnation
}

// ServeSession serves one executor until its stream or the coordinator ends.
func (co *Coordinator) ServeSession(s transport.CoordinatorSession) {
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	ses := &session{stop: stop, wake: make(chan struct{}, 1)}
	co.mu.Lock()
	co.next++
	ses.id = co.next
	co.sessions[ses.id] = ses
	co.mu.Unlock()

	var received sync.WaitGroup
	received.Go(func() {
		defer stop()
		if err := co.receive(s, ses); !errors.Is(err, io.EOF) {
			co.c.Logger.Debug("a session broke", "peer", s.Peer(), "error", err)
		}
	})
	err := ses.sendAll(ctx, s)
	err = errors.Join(err, s.Close())
	received.Wait()
	co.endSession(ses)
	if err != nil && !errors.Is(err, context.Canceled) {
		co.c.Logger.Debug("a session ended", "peer", s.Peer(), "error", err)
	}
}

// receive turns messages into events until the session ends.
func (co *Coordinator) receive(s transport.CoordinatorSession, ses *session) error {
	for {
		ev, err := s.Recv()
		if err != nil {
			return err
		}
		switch e := ev.(type) {
		case core.Register:
			e.Session = ses.id
			ev = e
		case core.Heartbeat:
			e.Session = ses.id
			ev = e
		}
		co.tell(ev)
	}
}

// sendAll passes queued messages on.
func (s *session) sendAll(ctx context.Context, stream transport.CoordinatorSession) error {
	for {
		s.mu.Lock()
		batch := s.unsent
		s.unsent = nil
		s.mu.Unlock()
		for _, m := range batch {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		}
	}
}

// send queues a message; the loop never waits for an executor.
func (co *Coordinator) send(a core.Send) {
	co.mu.Lock()
	s := co.sessions[a.Session]
	co.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := a.Message.(core.Registered); ok {
		s.incarnation = r.Incarnation
	}
	if len(s.unsent) >= maxUnsent {
		s.stop()
		return
	}
	s.unsent = append(s.unsent, a.Message)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (co *Coordinator) endSession(s *session) {
	co.mu.Lock()
	delete(co.sessions, s.id)
	co.mu.Unlock()
	s.mu.Lock()
	i := s.incarnation
	s.mu.Unlock()
	if i.Executor != "" {
		co.tell(core.StreamBroken{Incarnation: i, Session: s.id})
	}
}

func (co *Coordinator) closeSessions() {
	co.mu.Lock()
	defer co.mu.Unlock()
	for _, s := range co.sessions {
		s.stop()
	}
}
