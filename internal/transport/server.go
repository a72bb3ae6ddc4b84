package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Sizes and times of connections. Measured on loopback: socket buffers above the default give 15 %
// on block streams, larger windows nothing.
const (
	DefaultMaxMessageBytes = 64 << 20
	socketBufferBytes      = 256 << 10
	streamWindowBytes      = 1 << 20
	connWindowBytes        = 16 << 20
	maxHeaderBytes         = 64 << 10
	// A peer that does not answer a ping is gone: keepaliveTime + keepaliveTimeout is how long a cut
	// cable goes unnoticed. Leases are checked apart from it.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// ServerOptions say how a server behaves. The zero value serves without a token.
type ServerOptions struct {
	// Token is asked on every RPC, whatever the service. "": none is asked, which CheckListen allows
	// on loopback only.
	Token string
	// MaxMessageBytes limits a received message; 0 is 64 MiB. An assignment with all its sources must
	// fit; blocks come in frames far below it.
	MaxMessageBytes int
	// MaxStreams limits concurrent RPCs on one connection; 0 is 4,096.
	MaxStreams uint32
	// Log gets recovered panics; nil is slog.Default.
	Log *slog.Logger
}

// NewServer makes a gRPC server with the token asked on every RPC, limits, keepalive, and panics of
// handlers turned into errors. The caller registers services, serves and stops it.
func NewServer(o ServerOptions) *grpc.Server {
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 4096
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := recoverer{log: o.Log}
	unary := []grpc.UnaryServerInterceptor{r.unary}
	stream := []grpc.StreamServerInterceptor{r.stream}
	if o.Token != "" {
		g := newGuard(o.Token)
		unary = append(unary, g.unary)
		stream = append(stream, g.stream)
	}
	return grpc.NewServer(
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(stream...),
		grpc.MaxRecvMsgSize(o.MaxMessageBytes),
		grpc.MaxSendMsgSize(o.MaxMessageBytes),
		grpc.MaxConcurrentStreams(o.MaxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ReadBufferSize(socketBufferBytes),
		grpc.WriteBufferSize(socketBufferBytes),
		grpc.InitialWindowSize(streamWindowBytes),
		grpc.InitialConnWindowSize(connWindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
}

// recoverer turns a handler's panic into an error of that one RPC.
type recoverer struct{ log *slog.Logger }

func (r recoverer) catch(method string, err *error) {
	if v := recover(); v != nil {
		r.log.Error("recovered a panic", "method", method, "panic", v, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, fmt.Sprintf("%s: a mistake in Sluice: %v", method, v))
	}
}

func (r recoverer) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer r.catch(info.FullMethod, &err)
	return next(ctx, req)
}

func (r recoverer) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer r.catch(info.FullMethod, &err)
	return next(srv, ss)
}

// Health is a server's own word on whether it is ready; it starts as not ready.
type Health struct{ server *health.Server }

// RegisterHealth adds the standard grpc.health.v1 service.
func RegisterHealth(r grpc.ServiceRegistrar) *Health {
	h := &Health{server: health.NewServer()}
	h.SetReady(false)
	grpc_health_v1.RegisterHealthServer(r, h.server)
	return h
}

// SetReady changes what CheckHealth of others finds.
func (h *Health) SetReady(ready bool) {
	s := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		s = grpc_health_v1.HealthCheckResponse_SERVING
	}
	h.server.SetServingStatus("", s)
}

// CheckHealth returns nil when the process at the other end is ready.
func CheckHealth(ctx context.Context, conn grpc.ClientConnInterface) error {
	r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return fromStatus(err)
	}
	if s := r.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("not ready yet (%s)", s)
	}
	return nil
}
