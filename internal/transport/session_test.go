package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/model"
)

// patience is far above what anything here takes; it only ends a test that hangs.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server on loopback until the test ends, and returns its address.
func serve(t *testing.T, o ServerOptions, register func(*grpc.Server)) string {
	t.Helper()
	lis, err := Listen("127.0.0.1:0", o.Token, false)
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(o)
	register(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("server: %v", err)
		}
	})
	return lis.Addr().String()
}

func dial(t *testing.T, addr string, o DialOptions) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("closing the connection: %v", err)
		}
	})
	return conn
}

// backend serves each session with a function and says when it returned.
type backend struct {
	session func(s CoordinatorSession)
	left    chan struct{}
}

func (b backend) ServeSession(s CoordinatorSession) {
	defer func() { b.left <- struct{}{} }()
	b.session(s)
}

func (backend) Discover(context.Context) (Discovery, error) {
	return Discovery{ClusterID: "c1", GossipAddr: ":7401", Version: "test"}, nil
}

func (b backend) wait(t *testing.T) {
	t.Helper()
	select {
	case <-b.left:
	case <-time.After(patience):
		t.Fatal("the coordinator's end did not return")
	}
}

// overBoth runs a test over gRPC and over the pipe.
func overBoth(t *testing.T, session func(CoordinatorSession), test func(t *testing.T, d SessionDialer, b backend)) {
	t.Helper()
	t.Run("grpc", func(t *testing.T) {
		b := backend{session: session, left: make(chan struct{}, 8)}
		addr := serve(t, ServerOptions{}, func(s *grpc.Server) { RegisterSessions(s, b) })
		test(t, NewSessionDialer(dial(t, addr, DialOptions{})), b)
	})
	t.Run("pipe", func(t *testing.T) {
		b := backend{session: session, left: make(chan struct{}, 8)}
		p := NewPipe(b)
		defer func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, err := p.OpenSession(t.Context()); err == nil {
				t.Error("a closed pipe opened a session")
			}
		}()
		test(t, p, b)
	})
}

func open(t *testing.T, ctx context.Context, d SessionDialer) ExecutorSession {
	t.Helper()
	s, err := d.OpenSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func progress(i int) core.Heartbeat {
	return core.Heartbeat{Incarnation: model.Incarnation{Number: uint64(i)}}
}

// Far more messages than any buffer holds go both ways at once and keep their order.
func TestSessionKeepsOrder(t *testing.T) {
	const n = 2000
	coordinatorErr := make(chan error, 1)
	echo := func(s CoordinatorSession) {
		for i := 0; ; i++ {
			m, err := s.Recv()
			if err != nil {
				if !errors.Is(err, io.EOF) || i != n {
					err = fmt.Errorf("after %d messages: %w", i, err)
				} else {
					err = nil
				}
				coordinatorErr <- err
				return
			}
			if hb, ok := m.(core.Heartbeat); !ok || hb.Incarnation.Number != uint64(i) {
				coordinatorErr <- fmt.Errorf("message %d is %+v", i, m)
				return
			}
			if err := s.Send(core.Refused{Why: fmt.Sprint(i)}); err != nil {
				coordinatorErr <- err
				return
			}
		}
	}
	overBoth(t, echo, func(t *testing.T, d SessionDialer, b backend) {
		s := open(t, t.Context(), d)
		sent := make(chan error, 1)
		go func() {
			for i := range n {
				if err := s.Send(progress(i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range n {
			m, err := s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if r, ok := m.(core.Refused); !ok || r.Why != fmt.Sprint(i) {
				t.Fatalf("message %d is %+v", i, m)
			}
		}
		if err := errors.Join(<-sent, s.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-coordinatorErr; err != nil {
			t.Fatal(err)
		}
		b.wait(t)
	})
}

func TestExecutorClosesFirst(t *testing.T) {
	type end struct {
		n   int
		err error
	}
	ends := make(chan end, 1)
	count := func(s CoordinatorSession) {
		for n := 0; ; n++ {
			if _, err := s.Recv(); err != nil {
				ends <- end{n, err}
				return
			}
		}
	}
	overBoth(t, count, func(t *testing.T, d SessionDialer, b backend) {
		s := open(t, t.Context(), d)
		for i := range 10 {
			if err := s.Send(progress(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if e := <-ends; e.n != 10 || !errors.Is(e.err, io.EOF) {
			t.Fatalf("the coordinator got %d messages, then %v", e.n, e.err)
		}
		b.wait(t)
		if err := s.Send(progress(0)); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		if _, err := s.Recv(); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("Recv after Close: %v", err)
		}
	})
}

func TestCoordinatorEndsFirst(t *testing.T) {
	refuse := func(s CoordinatorSession) {
		for i := range 10 {
			if s.Send(core.Refused{Why: fmt.Sprint(i)}) != nil {
				return
			}
		}
	}
	overBoth(t, refuse, func(t *testing.T, d SessionDialer, b backend) {
		s := open(t, t.Context(), d)
		for i := range 10 {
			if _, err := s.Recv(); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		for range 2 {
			if _, err := s.Recv(); !errors.Is(err, io.EOF) {
				t.Fatalf("after the last message: %v", err)
			}
		}
		b.wait(t)
		if err := s.Send(progress(0)); err == nil {
			t.Error("Send into an ended session did not fail")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The coordinator's Close wakes its own Recv, whatever the executor does.
func TestCoordinatorCloseWakesRecv(t *testing.T) {
	ends := make(chan error, 2)
	closing := func(s CoordinatorSession) {
		received := make(chan error, 1)
		go func() {
			_, err := s.Recv()
			received <- err
		}()
		ends <- s.Close()
		ends <- <-received
	}
	overBoth(t, closing, func(t *testing.T, d SessionDialer, b backend) {
		s := open(t, t.Context(), d)
		if err := <-ends; err != nil {
			t.Fatal(err)
		}
		if err := <-ends; !errors.Is(err, ErrSessionClosed) {
			t.Fatalf("Recv after the own Close: %v", err)
		}
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Fatalf("the executor got %v", err)
		}
		b.wait(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCancelBreaksTheSession(t *testing.T) {
	ends := make(chan error, 2)
	wait := func(s CoordinatorSession) {
		_, err := s.Recv()
		ends <- err
		<-s.Context().Done()
		ends <- s.Context().Err()
	}
	overBoth(t, wait, func(t *testing.T, d SessionDialer, b backend) {
		ctx, cancel := context.WithCancel(t.Context())
		s := open(t, ctx, d)
		cancel()
		if _, err := s.Recv(); !errors.Is(err, context.Canceled) {
			t.Fatalf("the executor got %v", err)
		}
		if err := <-ends; err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("the coordinator takes a broken session for one that ended in order: %v", err)
		}
		if err := <-ends; err == nil {
			t.Error("the session's context goes on")
		}
		b.wait(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.OpenSession(ctx); err == nil {
			t.Error("a session opened under a context that ended")
		}
	})
}

func TestForeignEventsAreNotSent(t *testing.T) {
	got := make(chan UpMessage, 1)
	one := func(s CoordinatorSession) {
		m, err := s.Recv()
		if err == nil {
			got <- m
		}
	}
	overBoth(t, one, func(t *testing.T, d SessionDialer, b backend) {
		s := open(t, t.Context(), d)
		if err := s.Send(core.Tick{}); err == nil {
			t.Fatal("an executor sent a tick")
		}
		if err := s.Send(progress(7)); err != nil {
			t.Fatalf("the session did not survive it: %v", err)
		}
		if m := <-got; m.(core.Heartbeat).Incarnation.Number != 7 {
			t.Fatalf("got %+v", m)
		}
		b.wait(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A coordinator that hangs in its handler must not hang the pipe's owner.
func TestPipeCloseBreaksSessions(t *testing.T) {
	b := backend{left: make(chan struct{}, 1), session: func(s CoordinatorSession) {
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	}}
	p := NewPipe(b)
	s := open(t, t.Context(), p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	b.wait(t)
	if _, err := s.Recv(); err == nil {
		t.Error("the session goes on")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestServerStopBreaksSessions(t *testing.T) {
	b := backend{left: make(chan struct{}, 1), session: func(s CoordinatorSession) {
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	}}
	lis, err := Listen("127.0.0.1:0", "", false)
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(ServerOptions{})
	RegisterSessions(srv, b)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	s := open(t, t.Context(), NewSessionDialer(dial(t, lis.Addr().String(), DialOptions{})))
	if err := s.Send(progress(1)); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a stopped server: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
