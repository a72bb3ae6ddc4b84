package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// DialOptions say how to reach a server.
type DialOptions struct {
	// Token is sent with every RPC; "": none.
	Token string
	// MaxMessageBytes limits a received message; 0 is 64 MiB.
	MaxMessageBytes int
}

// Dial makes a connection to HOST:PORT, or to the first that answers of several (commas between
// them; a name that resolves to several addresses means all of them). It does not wait: the first
// RPC does, or fails with ErrUnavailable. The caller closes it.
func Dial(addr string, o DialOptions) (*grpc.ClientConn, error) {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = DefaultMaxMessageBytes
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithResolvers(allResolver{target: addr}),
		// The address is ours to resolve, and the authority is nobody's to check without TLS.
		grpc.WithAuthority("sluice"),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithReadBufferSize(socketBufferBytes),
		grpc.WithWriteBufferSize(socketBufferBytes),
		grpc.WithInitialWindowSize(streamWindowBytes),
		grpc.WithInitialConnWindowSize(connWindowBytes),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(o.MaxMessageBytes),
			grpc.MaxCallSendMsgSize(o.MaxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: false,
		}),
		// A peer that restarts is back within a second or two; gRPC's own 120 s would outlive leases.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if o.Token != "" {
		opts = append(opts, grpc.WithPerRPCCredentials(tokenCredentials(o.Token)))
	}
	// The target's text is used by gRPC for nothing but its own log.
	return grpc.NewClient("sluice:///peer", opts...)
}

// Pool keeps one connection per address, for block fetches: a reduce task talks to every executor
// again and again. It may be used concurrently.
type Pool struct {
	o  DialOptions
	mu sync.Mutex // guards conns; nothing blocks under it
	// conns is nil after Close.
	conns map[string]*grpc.ClientConn
}

// NewPool makes an empty pool. Its owner closes it when no RPC runs any more.
func NewPool(o DialOptions) *Pool { return &Pool{o: o, conns: map[string]*grpc.ClientConn{}} }

// Dial returns the connection to addr; the pool owns it. It has the shape of fetch.Options.Dial.
func (p *Pool) Dial(_ context.Context, addr string) (grpc.ClientConnInterface, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, errors.New("the connection pool is closed")
	}
	if c, ok := p.conns[addr]; ok {
		return c, nil
	}
	c, err := Dial(addr, p.o)
	if err != nil {
		return nil, err
	}
	p.conns[addr] = c
	return c, nil
}

// Close closes all connections; RPCs that run fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
