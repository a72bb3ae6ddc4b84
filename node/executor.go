package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sluice-engine/sluice/executor"
	"github.com/sluice-engine/sluice/internal/membership"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/fetch"
)

// ExecutorOptions of an executor process.
type ExecutorOptions struct {
	Coordinators []string // host:port; one that answers is enough
	Listen       string   // of the block server; host:port, an empty host is loopback
	Advertise    string   // host by which others reach the block server; "" = where it is bound
	TempDirs     []string // scratch; the first one is used. Empty: DefaultTempDir
	Threads      int
	Slots        int
	Memory       int64
	Token        string
	Insecure     bool
	ID           string // "" = made of host name and a random part
	// RemoteBlocks pulls every block over gRPC, also from executors of the same host.
	RemoteBlocks bool
	Logger       *slog.Logger
	Ready        func(addr string) // called once with the address of the block server; may be nil
}

// RunExecutor runs an executor until ctx ends or it cannot work.
func RunExecutor(ctx context.Context, o ExecutorOptions) (err error) {
	if len(o.Coordinators) == 0 {
		return model.Failf(model.ReasonUser, "--coordinator: name at least one HOST:PORT")
	}
	lis, err := transport.Listen(o.Listen, o.Token, o.Insecure)
	if err != nil {
		return model.Failf(model.ReasonUser, "%w", err)
	}
	defer func() {
		if cerr := lis.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	temp := DefaultTempDir()
	if len(o.TempDirs) > 0 {
		temp = o.TempDirs[0]
	}
	scratch, err := newScratch(vfs.OS, temp, "executor", o.Logger)
	if err != nil {
		return model.Failf(model.ReasonUser, "%w", err)
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()
	limitMemory(o.Memory)
	pool := transport.NewPool(transport.DialOptions{Token: o.Token})
	defer func() { err = errors.Join(err, pool.Close()) }()
	return serveExecutor(ctx, o, lis, scratch.dir, pool)
}

func serveExecutor(ctx context.Context, o ExecutorOptions, lis net.Listener, dir string, pool *transport.Pool) error {
	hostID, err := transport.HostID()
	if err != nil {
		return err
	}
	id := model.ExecutorID(o.ID)
	if id == "" {
		id = executorID(o.Advertise)
	}
	addr, err := advertisedAddr(lis, o.Advertise)
	if err != nil {
		return err
	}
	members, err := startGossip(gossipConfig{name: string(id), role: membership.RoleExecutor, lis: lis, addr: addr, token: o.Token, log: o.Logger})
	if err != nil {
		return err
	}
	find := &finder{o: o, pool: pool, members: members}
	srv := transport.NewServer(transport.ServerOptions{Token: o.Token, Log: o.Logger})
	health := transport.RegisterHealth(srv)
	ex, err := executor.New(executor.Config{
		ID: id, FS: vfs.OS, Dir: filepath.Join(dir, "scratch"), HostID: hostID, Addr: addr,
		Threads: o.Threads, Slots: max(o.Slots, 1), Memory: o.Memory / attemptShare, Log: o.Logger,
		Open: find.open,
		Run:  runAttempts(vfs.OS, id, hostID, pool.Dial, o.RemoteBlocks, o.Logger),
		Up:   health.SetReady,
	})
	if err != nil {
		return errors.Join(err, members.Close())
	}
	fetch.NewServer(vfs.OS, ex.Segments).Register(srv)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var serveErr error
	wg.Go(func() {
		defer stop()
		serveErr = srv.Serve(lis)
	})
	o.Logger.Info("executor is up", "id", id, "blocks", addr, "threads", o.Threads, "slots", max(o.Slots, 1), "memory", model.Size(o.Memory).String(), "scratch", dir)
	if o.Ready != nil {
		o.Ready(addr)
	}
	err = ex.Run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	srv.Stop()
	stop()
	wg.Wait()
	return errors.Join(err, serveErr, members.Close())
}

// executorID makes an id that people recognise and that is unique.
func executorID(advertise string) model.ExecutorID {
	host := advertise
	if host == "" {
		if h, err := os.Hostname(); err == nil {
			host = h
		}
	}
	name := randomName()
	return model.ExecutorID(strings.TrimRight(host, ".") + "-" + name[len(name)-6:])
}

// finder opens sessions with whoever leads the cluster: the address that gossip knows, else the ones
// that were given.
type finder struct {
	o       ExecutorOptions
	pool    *transport.Pool
	members *membership.Members
	joined  bool // owned by the goroutine that opens sessions
}

func (f *finder) open(ctx context.Context) (executor.Session, error) {
	addrs := f.o.Coordinators
	if leader, ok := f.members.Leader(); ok {
		addrs = append([]string{leader}, addrs...)
	}
	var errs []error
	for _, addr := range addrs {
		conn, err := f.pool.Dial(ctx, addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d, err := transport.Discover(ctx, conn)
		if err != nil {
			errs = append(errs, fmt.Errorf("coordinator %s: %w", addr, err))
			continue
		}
		if !f.joined {
			// Without gossip an executor works; it only learns of a new leader later.
			if err := f.members.Join(d.GossipAddr); err != nil {
				f.o.Logger.Warn("gossip", "error", err)
			} else {
				f.joined = true
			}
		}
		s, err := transport.NewSessionDialer(conn).OpenSession(ctx)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("coordinator %s: %w", addr, err))
	}
	return nil, errors.Join(errs...)
}
