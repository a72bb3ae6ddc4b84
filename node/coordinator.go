package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/sluice-engine/sluice/coordinator"
	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/internal/membership"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/internal/version"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// CoordinatorOptions of a coordinator process.
type CoordinatorOptions struct {
	Listen   string // host:port; an empty host is loopback
	DataDir  string // journal and cluster id
	Token    string
	Insecure bool     // listen beyond loopback without a token
	Allow    []string // paths that jobs may name; empty = all
	Logger   *slog.Logger
	Ready    func(addr string) // called once with the address that is listened on; may be nil
}

// RunCoordinator runs a coordinator until ctx ends or it cannot go on.
func RunCoordinator(ctx context.Context, o CoordinatorOptions) (err error) {
	lis, err := transport.Listen(o.Listen, o.Token, o.Insecure)
	if err != nil {
		return model.Failf(model.ReasonUser, "%w", err)
	}
	defer func() {
		if cerr := lis.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	cluster, err := clusterID(vfs.OS, o.DataDir)
	if err != nil {
		return err
	}
	log, err := journal.Open(filepath.Join(o.DataDir, "journal.db"))
	if err != nil {
		return fmt.Errorf("--data-dir %s: %w", o.DataDir, err)
	}
	co, err := coordinator.New(coordinator.Config{
		Log: log, Work: newWork(vfs.OS, o.Allow, runtime.GOMAXPROCS(0), model.ExecutionStaged), Logger: o.Logger,
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	members, err := startGossip(gossipConfig{
		name: "coordinator-" + cluster[:8], role: membership.RoleCoordinator, lis: lis, token: o.Token, log: o.Logger,
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	return serveCoordinator(ctx, o, lis, co, members, cluster)
}

func serveCoordinator(ctx context.Context, o CoordinatorOptions, lis net.Listener, co *coordinator.Coordinator, members *membership.Members, cluster string) error {
	srv := transport.NewServer(transport.ServerOptions{Token: o.Token, Log: o.Logger})
	b := backend{Coordinator: co, discovery: transport.Discovery{ClusterID: cluster, GossipAddr: members.Addr(), Version: version.Version}}
	transport.RegisterSessions(srv, b)
	transport.RegisterJobs(srv, co)
	health := transport.RegisterHealth(srv)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var serveErr error
	wg.Go(func() {
		defer stop()
		serveErr = srv.Serve(lis)
	})
	wg.Go(func() { watchMembers(ctx, members, co) })
	health.SetReady(true)
	o.Logger.Info("coordinator is ready", "listen", lis.Addr().String(), "gossip", members.Addr(), "cluster", cluster, "version", version.Version)
	if o.Ready != nil {
		o.Ready(lis.Addr().String())
	}
	err := co.Run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	health.SetReady(false)
	srv.Stop()
	stop()
	wg.Wait()
	return errors.Join(err, serveErr, members.Close())
}

// watchMembers passes on whom gossip has given up.
func watchMembers(ctx context.Context, m *membership.Members, co *coordinator.Coordinator) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.Wake():
		}
		for _, e := range m.Events() {
			if e.Gone && e.Meta.Role == membership.RoleExecutor {
				co.Suspect(model.ExecutorID(e.Name))
			}
		}
	}
}

// clusterID reads or makes the id of the cluster that a data directory belongs to.
func clusterID(fsys vfs.FS, dir string) (string, error) {
	if dir == "" {
		return "", model.Failf(model.ReasonUser, "--data-dir: name a directory for the journal")
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return "", model.Failf(model.ReasonUser, "--data-dir %s: %w", dir, err)
	}
	path := filepath.Join(dir, "cluster-id")
	b, err := vfs.ReadFile(fsys, path, 1<<10)
	if errors.Is(err, os.ErrNotExist) {
		id := randomName()
		return id, vfs.ReplaceFile(fsys, path, []byte(id+"\n"))
	}
	id := strings.TrimSpace(string(b))
	if err == nil && len(id) < 8 {
		err = fmt.Errorf("%s is damaged", path)
	}
	return id, err
}
