package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// resolveTimeout limits one look-up of all names.
const resolveTimeout = 5 * time.Second

// minResolveInterval keeps a peer that is down from turning reconnects into a stream of DNS queries.
// gRPC's own resolver waits 30 s, which is longer than a container needs to come back elsewhere.
const minResolveInterval = time.Second

// Resolve returns host:port of every address of every name: a name that resolves to several
// addresses means all of them. A list may be given as one text with commas. Duplicates go; the order is that of
// the names. An error comes only when no name has an address.
func Resolve(ctx context.Context, addrs ...string) ([]string, error) {
	var out []string
	var errs []error
	for _, addr := range strings.Split(strings.Join(addrs, ","), ",") {
		addr = strings.TrimSpace(addr)
		if addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("address %q: want HOST:PORT: %w", addr, err)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		ips, err := lookup(ctx, host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, ip := range ips {
			if a := net.JoinHostPort(ip.String(), port); !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 {
		if len(errs) == 0 {
			errs = append(errs, errors.New("no address was given"))
		}
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// allResolver is a gRPC resolver over Resolve, made for one Dial.
type allResolver struct{ target string }

func (allResolver) Scheme() string { return "sluice" }

func (b allResolver) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &resolving{target: b.target, cc: cc, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1)}
	r.ResolveNow(resolver.ResolveNowOptions{})
	r.wg.Add(1)
	go r.run()
	return r, nil
}

type resolving struct {
	target string
	cc     resolver.ClientConn
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	wg     sync.WaitGroup
}

// ResolveNow asks for a new look-up; several at a time are one.
func (r *resolving) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *resolving) Close() {
	r.cancel()
	r.wg.Wait()
}

func (r *resolving) run() {
	defer r.wg.Done()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		}
		r.look()
		pause := time.NewTimer(minResolveInterval)
		select {
		case <-r.ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (r *resolving) look() {
	ctx, cancel := context.WithTimeout(r.ctx, resolveTimeout)
	defer cancel()
	addrs, err := Resolve(ctx, r.target)
	if err != nil {
		r.cc.ReportError(err)
		return
	}
	state := resolver.State{}
	for _, a := range addrs {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	if err := r.cc.UpdateState(state); err != nil {
		r.ResolveNow(resolver.ResolveNowOptions{})
	}
}
