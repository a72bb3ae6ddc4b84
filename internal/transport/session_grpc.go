package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/sluice-engine/sluice/coordinator/core"
	sessionv1 "github.com/sluice-engine/sluice/proto/gen/sluice/session/v1"
)

// closeTimeout is how long Close waits for the other end to take what was sent. It is below the 8 s
// that a leaving executor has in all.
const closeTimeout = 5 * time.Second

func closeTimer() *time.Timer { return time.NewTimer(closeTimeout) }

// pump reads a gRPC stream in a goroutine of its own, because nothing but the end of the stream
// wakes a reader that sits in it, and Close must.
type pump[T any] struct {
	messages chan T
	closed   chan struct{} // no more is wanted: the rest is read and dropped
	once     sync.Once
	done     chan struct{} // the goroutine ended; err is set
	err      error
}

func startPump[T any](recv func() (T, error)) *pump[T] {
	p := &pump[T]{messages: make(chan T), closed: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for {
			m, err := recv()
			if err != nil {
				p.err = err
				return
			}
			select {
			case p.messages <- m:
			case <-p.closed:
			}
		}
	}()
	return p
}

func (p *pump[T]) close() { p.once.Do(func() { close(p.closed) }) }

func (p *pump[T]) recv() (T, error) {
	var zero T
	select {
	case <-p.closed:
		return zero, ErrSessionClosed
	default:
	}
	select {
	case m := <-p.messages:
		return m, nil
	case <-p.closed:
		return zero, ErrSessionClosed
	case <-p.done:
		return zero, p.err
	}
}

// grpcExecutor is the client end of SessionService.Open.
type grpcExecutor struct {
	stream grpc.BidiStreamingClient[sessionv1.OpenRequest, sessionv1.OpenResponse]
	ctx    context.Context
	cancel context.CancelFunc
	pump   *pump[core.Message]
	sendMu sync.Mutex // Send against CloseSend, which gRPC does not allow side by side
	closed bool       // under sendMu
}

type sessionClient struct {
	client sessionv1.SessionServiceClient
}

// NewSessionDialer opens sessions over a connection to the coordinator (see Dial).
func NewSessionDialer(conn grpc.ClientConnInterface) SessionDialer {
	return sessionClient{client: sessionv1.NewSessionServiceClient(conn)}
}

func (c sessionClient) OpenSession(ctx context.Context) (ExecutorSession, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.client.Open(ctx)
	if err != nil {
		cancel()
		return nil, fromStatus(err)
	}
	s := &grpcExecutor{stream: stream, ctx: ctx, cancel: cancel}
	s.pump = startPump(func() (core.Message, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, s.ended(err)
		}
		return downFromProto(m)
	})
	return s, nil
}

// ended turns the end of the stream into what ExecutorSession promises.
func (s *grpcExecutor) ended(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	}
	return fromStatus(err)
}

func (s *grpcExecutor) Send(m UpMessage) error {
	p, err := upToProto(m)
	if err != nil {
		return err
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.closed {
		return ErrSessionClosed
	}
	if err := s.stream.Send(p); err != nil {
		return s.ended(err)
	}
	return nil
}

func (s *grpcExecutor) Recv() (core.Message, error) { return s.pump.recv() }

func (s *grpcExecutor) Close() error {
	s.pump.close()
	timer := closeTimer()
	defer timer.Stop()
	// A Send that waits for the other end to read holds sendMu; it must not hold Close for ever.
	sent := make(chan error, 1)
	go func() { sent <- s.closeSend() }()
	var err error
	select {
	case err = <-sent:
		select {
		case <-s.pump.done:
		case <-timer.C:
		}
		s.cancel()
	case <-timer.C:
		s.cancel()
		err = <-sent
	}
	<-s.pump.done
	return err
}

func (s *grpcExecutor) closeSend() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.stream.CloseSend()
}

// sessionServer serves sessions to a backend.
type sessionServer struct {
	sessionv1.UnimplementedSessionServiceServer
	backend SessionBackend
}

// RegisterSessions makes a server serve executor sessions.
func RegisterSessions(r grpc.ServiceRegistrar, backend SessionBackend) {
	sessionv1.RegisterSessionServiceServer(r, &sessionServer{backend: backend})
}

func (s *sessionServer) Open(stream grpc.BidiStreamingServer[sessionv1.OpenRequest, sessionv1.OpenResponse]) error {
	c := &grpcCoordinator{stream: stream}
	// The pump ends a moment after this method returned: that is what ends the stream's Recv.
	c.pump = startPump(func() (UpMessage, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, fromStatus(err)
		}
		return upFromProto(m)
	})
	s.backend.ServeSession(c)
	c.pump.close()
	return nil
}

func (s *sessionServer) Discover(ctx context.Context, _ *sessionv1.DiscoverRequest) (*sessionv1.DiscoverResponse, error) {
	d, err := s.backend.Discover(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &sessionv1.DiscoverResponse{ClusterId: d.ClusterID, GossipAddr: d.GossipAddr, Version: d.Version}, nil
}

// Discover asks the coordinator at the other end what a joining process must know.
func Discover(ctx context.Context, conn grpc.ClientConnInterface) (Discovery, error) {
	d, err := sessionv1.NewSessionServiceClient(conn).Discover(ctx, &sessionv1.DiscoverRequest{})
	if err != nil {
		return Discovery{}, fromStatus(err)
	}
	return Discovery{ClusterID: d.GetClusterId(), GossipAddr: d.GetGossipAddr(), Version: d.GetVersion()}, nil
}

type grpcCoordinator struct {
	stream grpc.BidiStreamingServer[sessionv1.OpenRequest, sessionv1.OpenResponse]
	pump   *pump[UpMessage]
}

func (s *grpcCoordinator) Send(m core.Message) error {
	select {
	case <-s.pump.closed:
		return ErrSessionClosed
	default:
	}
	p, err := downToProto(m)
	if err != nil {
		return err
	}
	return fromStatus(s.stream.Send(p))
}

func (s *grpcCoordinator) Recv() (UpMessage, error) { return s.pump.recv() }

func (s *grpcCoordinator) Close() error {
	s.pump.close()
	return nil
}

func (s *grpcCoordinator) Context() context.Context { return s.stream.Context() }

func (s *grpcCoordinator) Peer() string {
	if p, ok := peer.FromContext(s.stream.Context()); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown"
}
