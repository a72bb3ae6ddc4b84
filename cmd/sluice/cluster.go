package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

// callTimeout limits one question to a coordinator.
const callTimeout = 15 * time.Second

// A coordinator that was restarted is back within seconds; who waits for a job asks again every
// retryEvery, for as long as retryFor.
const (
	retryEvery = time.Second
	retryFor   = 2 * time.Minute
)

// clusterFlags say where a cluster is and how to get in.
type clusterFlags struct {
	coordinator string
	tokenFile   string
}

func (f *clusterFlags) bind(c *cobra.Command, preset, text string) {
	c.Flags().StringVar(&f.coordinator, "coordinator", preset, text)
	section(c.Flags(), sectionCluster, "coordinator")
	f.bindToken(c)
}

func (f *clusterFlags) bindToken(c *cobra.Command) {
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "`FILE` with the cluster's token (SLUICE_TOKEN holds the token itself)")
	section(c.Flags(), sectionCluster, "token-file")
}

// bindClient is bind for the verbs that always talk to a coordinator.
func (f *clusterFlags) bindClient(c *cobra.Command) {
	f.bind(c, defaultAddr, "`HOST:PORT` of the cluster's coordinator (SLUICE_COORDINATOR; default "+defaultAddr+")")
}

// cluster is a connection to a coordinator. Close it.
type cluster struct {
	addr string
	conn *grpc.ClientConn
	jobs *transport.JobsClient
	// retryEvery and retryFor are the constants, but for tests.
	retryEvery, retryFor time.Duration
}

// token reads the token as the flags and the environment say.
func (a *app) token(file string, log *slog.Logger) (string, error) {
	token, err := transport.LoadToken(a.fs, file, log)
	if err != nil {
		return "", usageError{err}
	}
	return token, nil
}

func checkAddress(flag, addr string) error {
	for _, one := range strings.Split(addr, ",") {
		if _, port, err := net.SplitHostPort(strings.TrimSpace(one)); err != nil || port == "" {
			return usagef("%s %q: want HOST:PORT, such as 127.0.0.1:7400", flag, addr)
		}
	}
	return nil
}

// dial makes the connection; that nobody answers is found by the first question.
func (a *app) dial(f clusterFlags) (*cluster, error) {
	if err := checkAddress("--coordinator", f.coordinator); err != nil {
		return nil, err
	}
	token, err := a.token(f.tokenFile, a.logger(slog.LevelWarn))
	if err != nil {
		return nil, err
	}
	conn, err := transport.Dial(f.coordinator, transport.DialOptions{Token: token})
	if err != nil {
		return nil, err
	}
	return &cluster{addr: f.coordinator, conn: conn, jobs: transport.NewJobsClient(conn), retryEvery: retryEvery, retryFor: retryFor}, nil
}

func (c *cluster) Close() error { return c.conn.Close() }

// explain says of an error of the connection which coordinator it was; failures of jobs stay as they
// are.
func (c *cluster) explain(err error) error { return explainCall("coordinator "+c.addr, err) }

// dialNoise is what gRPC puts around the kernel's own words.
var dialNoise = regexp.MustCompile(`connection error: desc = "(?:transport: )?(?:Error while dialing: |[Ee]rror reading server preface: )?(?:dial tcp \S+: )?(?:connect: )?(.*)"`)

func explainCall(who string, err error) error {
	if err == nil {
		return nil
	}
	var f *model.Failure
	if errors.As(err, &f) || errors.Is(err, transport.ErrNoJob) || errors.Is(err, context.Canceled) {
		return err
	}
	text := dialNoise.ReplaceAllString(err.Error(), "$1")
	text = strings.TrimPrefix(text, "last connection error: ")
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer within " + ui.Seconds(callTimeout)
	}
	if !errors.Is(err, transport.ErrUnavailable) {
		who += ":"
	}
	return &callError{text: who + " " + text, err: err}
}

// callError rewords an error and keeps what it is.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }
func (e *callError) Unwrap() error { return e.err }

// call asks one question of the coordinator.
func (c *cluster) call(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.explain(ask(ctx))
}

// wait follows a job to its end. A coordinator that goes away is given time to come back.
func (c *cluster) wait(ctx context.Context, id model.JobID, each func(model.JobStatus)) (st model.JobStatus, err error) {
	var since time.Time // when the connection was lost; zero while it holds
	for {
		err = c.jobs.Watch(ctx, id, func(s model.JobStatus) error {
			st, since = s, time.Time{}
			each(s)
			return nil
		})
		if err == nil || !errors.Is(err, transport.ErrUnavailable) || st.Job == "" {
			return st, c.explain(err)
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > c.retryFor {
			return st, c.explain(err)
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(c.retryEvery):
		}
	}
}

// withCluster is a verb that asks a coordinator.
func (a *app) withCluster(f clusterFlags, do func(*cluster) error) (err error) {
	c, err := a.dial(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return do(c)
}

// checkReceipt refuses, before anything runs, a receipt that could not be written afterwards.
func (a *app) checkReceipt(path string) error {
	if path == "" {
		return nil
	}
	if st, err := a.fs.Stat(path); err == nil && st.IsDir() {
		return usagef("--receipt %s: it is a directory, name a file", path)
	}
	dir := filepath.Dir(path)
	st, err := a.fs.Stat(dir)
	if err != nil {
		return usagef("--receipt %s: %s: %w", path, dir, withoutPath(err))
	}
	if !st.IsDir() {
		return usagef("--receipt %s: %s is not a directory", path, dir)
	}
	return nil
}

// jobArgs wants one valid job id.
func jobArgs(c *cobra.Command, args []string) error {
	if err := exactArgs("ID")(c, args); err != nil {
		return err
	}
	if !model.JobID(args[0]).Valid() {
		return usagef("%q is no job id: `sluice get jobs` lists them", args[0])
	}
	return nil
}

// noJob is the error for a job that the coordinator does not know.
func noJob(id model.JobID, err error) error {
	if errors.Is(err, transport.ErrNoJob) {
		return usagef("no job %s: `sluice get jobs` lists them", id)
	}
	return err
}

// stateError is the error of a job that did not succeed.
func stateError(st model.JobStatus) error {
	switch st.State {
	case model.JobSucceeded:
		return nil
	case model.JobCancelled:
		why := "it was cancelled"
		if st.Failure != nil && st.Failure.Message != "" {
			why = st.Failure.Message
		}
		return model.Failf(model.ReasonKilled, "job %s: %s", st.Job, why)
	}
	if st.Failure == nil {
		return fmt.Errorf("job %s is %s", st.Job, st.State)
	}
	return st.Failure
}
