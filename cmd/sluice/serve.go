package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/node"
)

// defaultAddr is where a coordinator listens, and is looked for, unless told otherwise.
const defaultAddr = "127.0.0.1:7400"

func (a *app) newCoordinator() *cobra.Command {
	var o node.CoordinatorOptions
	var cl clusterFlags
	c := &cobra.Command{
		Use: "coordinator [flags]", Short: "Run a coordinator: it plans and publishes jobs, and moves no row", GroupID: groupServe, Args: noArgs,
		Long: `Runs a coordinator until SIGTERM or Ctrl-C. Its journal survives: a coordinator that is started again
in the same data directory goes on with the jobs it had. Everybody who can reach it must bring the
token; without one it listens on loopback only, unless --insecure says otherwise. There is no TLS
yet: the token keeps out who cannot read the network.`,
		Example: `  sluice coordinator
  sluice coordinator --listen 0.0.0.0:7400 --token-file token --data-dir /var/lib/sluice --allow /lake`,
		RunE: func(c *cobra.Command, _ []string) error { return a.serveCoordinator(c.Context(), o, cl) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Listen, "listen", defaultAddr, "`HOST:PORT` to listen on; without a host it is loopback (default "+defaultAddr+")")
	f.StringVar(&o.DataDir, "data-dir", filepath.Join(node.DefaultTempDir(), "coordinator"), "`DIR` of the journal (default "+filepath.Join(defaultTemp, "coordinator")+")")
	f.StringArrayVar(&o.Allow, "allow", nil, "`PREFIX` of paths that jobs may name, may be repeated (default all)")
	cl.bindToken(c)
	insecureFlag(c, &o.Insecure)
	return c
}

func insecureFlag(c *cobra.Command, v *bool) {
	c.Flags().BoolVar(v, "insecure", false, "listen beyond loopback without a token: everybody who can connect may run jobs and read their data")
	section(c.Flags(), sectionCluster, "insecure")
}

func (a *app) serveCoordinator(ctx context.Context, o node.CoordinatorOptions, cl clusterFlags) (err error) {
	o.Logger = a.logger(slog.LevelInfo)
	if o.Token, err = a.token(cl.tokenFile, o.Logger); err != nil {
		return err
	}
	for _, p := range o.Allow {
		if !filepath.IsAbs(p) {
			return usagef("--allow %q: want an absolute path", p)
		}
	}
	if err := transport.CheckListen(o.Listen, o.Token, o.Insecure); err != nil {
		return usageError{err}
	}
	return stopped(node.RunCoordinator(ctx, o))
}

// stopped makes a server's end by a signal a success.
func stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *app) newExecutor() *cobra.Command {
	var o node.ExecutorOptions
	var r resources
	var cl clusterFlags
	c := &cobra.Command{
		Use: "executor --coordinator HOST:PORT [flags]", Short: "Run an executor: it does a coordinator's work", GroupID: groupServe, Args: noArgs,
		Long: `Runs an executor until SIGTERM or Ctrl-C. It registers with the coordinator, runs tasks, and serves
the blocks that they wrote to the other executors. It waits for a coordinator that is not there yet
and comes back to one that was restarted.`,
		Example: `  sluice executor --coordinator 127.0.0.1:7400
  sluice executor --coordinator coordinator:7400 --listen 0.0.0.0:7400 --advertise "$(hostname)" --token-file token`,
		RunE: func(c *cobra.Command, _ []string) error { return a.serveExecutor(c.Context(), o, r, cl) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Listen, "listen", ":0", "`HOST:PORT` to listen on; without a host it is loopback, port 0 is any that is free (default 127.0.0.1:0)")
	f.StringVar(&o.Advertise, "advertise", "", "`HOST` name or address by which other executors reach this one (default where it listens)")
	f.StringVar(&o.ID, "id", "", "`NAME` of this executor, unlike all others (default made from the host's name)")
	r.bind(f)
	cl.bind(c, "", "`HOST:PORT` of the coordinator; several with commas between them (SLUICE_COORDINATOR)")
	insecureFlag(c, &o.Insecure)
	return c
}

func (a *app) serveExecutor(ctx context.Context, o node.ExecutorOptions, r resources, cl clusterFlags) (err error) {
	o.Logger = a.logger(slog.LevelInfo)
	if cl.coordinator == "" {
		return usagef("which coordinator? Give --coordinator HOST:PORT, or SLUICE_COORDINATOR")
	}
	if err := checkAddress("--coordinator", cl.coordinator); err != nil {
		return err
	}
	for _, addr := range strings.Split(cl.coordinator, ",") {
		o.Coordinators = append(o.Coordinators, strings.TrimSpace(addr))
	}
	if o.Token, err = a.token(cl.tokenFile, o.Logger); err != nil {
		return err
	}
	if err := transport.CheckListen(o.Listen, o.Token, o.Insecure); err != nil {
		return usageError{err}
	}
	if err := r.settle(); err != nil {
		return err
	}
	o.TempDirs, o.Threads, o.Slots, o.Memory = r.TempDir, r.Threads, r.Slots, int64(r.MemoryLimit)
	return stopped(node.RunExecutor(ctx, o))
}

// healthTimeout is how long `health` waits for an answer: less than a container engine waits for it.
const healthTimeout = 3 * time.Second

func (a *app) newHealth() *cobra.Command {
	var cl clusterFlags
	c := &cobra.Command{
		Use: "health [HOST:PORT] [flags]", Short: "Exit 0 when a coordinator or an executor is ready, else 1", GroupID: groupCluster,
		Long: "Asks a coordinator or an executor whether it is ready. HOST:PORT is " + defaultAddr + " if not given.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("HOST:PORT")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			addr := defaultAddr
			if len(args) > 0 {
				addr = args[0]
			}
			return a.health(c.Context(), addr, cl)
		},
	}
	cl.bindToken(c)
	return c
}

func (a *app) health(ctx context.Context, addr string, cl clusterFlags) (err error) {
	if err := checkAddress("HOST:PORT", addr); err != nil {
		return err
	}
	token, err := a.token(cl.tokenFile, a.logger(slog.LevelError))
	if err != nil {
		return err
	}
	conn, err := transport.Dial(addr, transport.DialOptions{Token: token})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := transport.CheckHealth(ctx, conn); err != nil {
		return explainCall(addr, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is ready\n", addr)
	return err
}
