package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/dataset/gen"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

const token = "0123456789abcdef0123456789abcdef"

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// landing makes a small event data set.
func landing(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "landing")
	if _, err := gen.Events(context.Background(), gen.Options{Dir: dir, Rows: 4000, Files: 4, Types: 20, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func options(t *testing.T) EmbeddedOptions {
	return EmbeddedOptions{TempDirs: []string{filepath.Join(t.TempDir(), "temp")}, Threads: 2, Memory: 512 << 20, Logger: quiet()}
}

// outcome checks a finished job of the landing data.
func outcome(t *testing.T, st model.JobStatus, out string) {
	t.Helper()
	if st.State != model.JobSucceeded || st.Receipt == nil || st.Receipt.RowsOut != 4000 || st.Receipt.Partitions != 20 {
		t.Fatalf("state %s, failure %+v, receipt %+v", st.State, st.Failure, st.Receipt)
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != 21 { // 20 types and _SUCCESS
		t.Errorf("output holds %d entries, %v", len(entries), err)
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

func TestEmbeddedJobLeavesItsOutputAndNothingElse(t *testing.T) {
	in, out := landing(t), filepath.Join(t.TempDir(), "mart")
	o := options(t)
	seen := 0
	st, err := RunEmbedded(context.Background(), o, model.JobSpec{Input: []string{in}, Out: out, PartitionBy: []string{"type"}, Verify: model.VerifyContent},
		func(model.JobStatus) { seen++ })
	if err != nil {
		t.Fatal(err)
	}
	outcome(t, st, out)
	empty(t, o.TempDirs[0])
	if seen == 0 || st.Receipt.Verified != model.VerifyContent {
		t.Errorf("seen %d states, verified %s", seen, st.Receipt.Verified)
	}
	st, err = RunEmbedded(context.Background(), o, model.JobSpec{Input: []string{in}, Out: out, PartitionBy: []string{"type"}}, nil)
	if err != nil || st.State != model.JobFailed || st.Failure.Reason != model.ReasonConflict {
		t.Errorf("a second job: %v, %s, %+v", err, st.State, st.Failure)
	}
	outcomeFiles(t, out)
}

func outcomeFiles(t *testing.T, out string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), "_sluice*")); err != nil || len(left) != 0 {
		t.Errorf("left beside the output: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(out, "_sluice")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in the output: %v", err)
	}
}

func TestBothExecutionsDoTheSameJob(t *testing.T) {
	in := landing(t)
	receipts := map[model.Execution]*model.Receipt{}
	for _, e := range []model.Execution{"", model.ExecutionFused, model.ExecutionStaged} {
		out, o := filepath.Join(t.TempDir(), "mart"), options(t)
		o.Execution, o.Slots = e, 2
		st, err := RunEmbedded(context.Background(), o, model.JobSpec{Input: []string{in}, Out: out, PartitionBy: []string{"type"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		outcome(t, st, out)
		empty(t, o.TempDirs[0])
		receipts[e] = st.Receipt
	}
	staged := receipts[model.ExecutionStaged]
	if staged.MapTasks == 0 || staged.ShuffleBytes == 0 {
		t.Errorf("staged: %+v", staged)
	}
	for _, e := range []model.Execution{"", model.ExecutionFused} {
		r := receipts[e]
		if r.MapTasks != 0 || r.Tasks != 1 || r.ShuffleBytes != 0 || r.Hash.RowSum != staged.Hash.RowSum || r.RowsIn != 4000 {
			t.Errorf("execution %q: %+v", e, r)
		}
	}
}

func TestInterruptedJobLeavesNothing(t *testing.T) {
	in, parent := landing(t), t.TempDir()
	out := filepath.Join(parent, "deep", "mart")
	o := options(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st, err := RunEmbedded(ctx, o, model.JobSpec{Input: []string{in}, Out: out, PartitionBy: []string{"type"}},
		func(model.JobStatus) { cancel() })
	if err != nil || st.State != model.JobCancelled {
		t.Fatalf("%v, %s", err, st.State)
	}
	empty(t, parent)
	empty(t, o.TempDirs[0])
}

func TestBadInputIsNamed(t *testing.T) {
	in := landing(t)
	parent := t.TempDir()
	for want, spec := range map[string]model.JobSpec{
		"typ":     {Input: []string{in}, PartitionBy: []string{"typ"}},
		"/absent": {Input: []string{"/absent"}, PartitionBy: []string{"type"}},
	} {
		spec.Out = filepath.Join(parent, "out")
		st, err := RunEmbedded(context.Background(), options(t), spec, nil)
		if err != nil || st.State != model.JobFailed || !strings.Contains(st.Failure.Message, want) {
			t.Errorf("%s: %v, %s, %+v", want, err, st.State, st.Failure)
		}
		empty(t, parent)
	}
}

// cluster runs a coordinator and executors on loopback, in this process but over real sockets.
type cluster struct {
	addr string
	jobs *transport.JobsClient
}

func startCluster(t *testing.T, executors int, remote bool) cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	ready := make(chan string, 1)
	wg.Go(func() {
		if err := RunCoordinator(ctx, CoordinatorOptions{Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), Token: token,
			Logger: quiet(), Ready: func(a string) { ready <- a }}); err != nil {
			t.Error(err)
		}
	})
	addr := <-ready
	for range executors {
		temp := filepath.Join(t.TempDir(), "temp")
		wg.Go(func() {
			if err := RunExecutor(ctx, ExecutorOptions{Coordinators: []string{addr}, Listen: "127.0.0.1:0", TempDirs: []string{temp},
				Threads: 1, Slots: 1, Memory: 256 << 20, Token: token, RemoteBlocks: remote, Logger: quiet()}); err != nil {
				t.Error(err)
			}
		})
	}
	conn, err := transport.Dial(addr, transport.DialOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster{addr: addr, jobs: transport.NewJobsClient(conn)}
}

func (c cluster) run(t *testing.T, spec model.JobSpec) (last model.JobStatus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	id, err := c.jobs.Submit(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.jobs.Watch(ctx, id, func(s model.JobStatus) error { last = s; return nil }); err != nil {
		t.Fatalf("%v, last seen %+v", err, last)
	}
	return last
}

func TestClusterDoesTheSameJob(t *testing.T) {
	for _, remote := range []bool{false, true} {
		c := startCluster(t, 2, remote)
		out := filepath.Join(t.TempDir(), "mart")
		st := c.run(t, model.JobSpec{Input: []string{landing(t)}, Out: out, PartitionBy: []string{"type"}, SplitSize: 64 << 10})
		outcome(t, st, out)
		outcomeFiles(t, out)
		f := st.Receipt.Fetch
		if remote && (f.LocalBytes > 0 || f.RemoteBytes == 0) || !remote && (f.RemoteBytes > 0 || f.LocalBytes == 0) {
			t.Errorf("remote=%v: fetched %+v", remote, f)
		}
	}
}

func TestWrongTokenIsRefused(t *testing.T) {
	c := startCluster(t, 0, false)
	conn, err := transport.Dial(c.addr, transport.DialOptions{Token: "not-the-token-not-the-token"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := transport.NewJobsClient(conn).List(context.Background()); !errors.Is(err, transport.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}
