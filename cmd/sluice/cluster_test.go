package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

// fakeCluster is a coordinator whose jobs end as the test wants.
type fakeCluster struct {
	mu        sync.Mutex // guards the fields below
	jobs      map[model.JobID]model.JobStatus
	submitted []model.JobSpec
	reasons   []string
	drops     int // how many watches break off before they say a word more than the first
	// ends is how a job ends that is watched; until it is set, watchers see it running.
	ends func(model.JobStatus) model.JobStatus
	// watched is closed when somebody watches.
	watched chan struct{}
}

func newFakeCluster() *fakeCluster {
	return &fakeCluster{jobs: map[model.JobID]model.JobStatus{}, watched: make(chan struct{}), ends: func(st model.JobStatus) model.JobStatus {
		st.State = model.JobSucceeded
		st.Ended = st.Submitted.Add(time.Second)
		st.Receipt = &model.Receipt{Job: st.Job, State: st.State, RowsIn: 7, RowsOut: 7, Submitted: st.Submitted, Ended: st.Ended}
		return st
	}}
}

const fakeJob model.JobID = "20210828-120000-0a1b2c3d"

func (f *fakeCluster) Submit(_ context.Context, spec model.JobSpec) (model.JobID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if spec.Name == "refused" {
		return "", model.Failf(model.ReasonUser, "the coordinator does not want it")
	}
	f.submitted = append(f.submitted, spec)
	f.jobs[fakeJob] = model.JobStatus{Job: fakeJob, Name: spec.Name, State: model.JobRunning, Spec: spec, Submitted: time.Date(2021, 8, 28, 12, 0, 0, 0, time.UTC)}
	return fakeJob, nil
}

func (f *fakeCluster) Job(_ context.Context, id model.JobID) (model.JobStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, ok := f.jobs[id]
	if !ok {
		return st, transport.ErrNoJob
	}
	return st, nil
}

func (f *fakeCluster) Jobs(context.Context) ([]model.JobStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []model.JobStatus
	for _, j := range f.jobs {
		all = append(all, j)
	}
	return all, nil
}

func (f *fakeCluster) Watch(ctx context.Context, id model.JobID, send func(model.JobStatus) error) error {
	st, err := f.Job(ctx, id)
	if err != nil {
		return err
	}
	if err := send(st); err != nil {
		return err
	}
	f.mu.Lock()
	f.drops--
	drop, ends, watched := f.drops >= 0, f.ends, f.watched
	f.watched = nil
	f.mu.Unlock()
	if watched != nil {
		close(watched)
	}
	switch {
	case drop:
		return nil // a stream that ends before the job did
	case ends != nil:
		return send(ends(st))
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeCluster) Cancel(_ context.Context, id model.JobID, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, ok := f.jobs[id]
	if !ok {
		return transport.ErrNoJob
	}
	f.reasons = append(f.reasons, reason)
	st.State = model.JobCancelled
	f.jobs[id] = st
	return nil
}

func (f *fakeCluster) Executors(context.Context) ([]model.ExecutorStatus, error) {
	return []model.ExecutorStatus{{Executor: "e1", State: "alive", Addr: "h:1", Threads: 2, Slots: 1, Memory: 1 << 30}}, nil
}

const fakeToken = "0123456789abcdef"

// serve makes the fake reachable and returns its address.
func (f *fakeCluster) serve(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := transport.NewServer(transport.ServerOptions{Token: fakeToken})
	transport.RegisterJobs(srv, f)
	health := transport.RegisterHealth(srv)
	health.SetReady(true)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

func clusterCall(addr string) call {
	return call{env: map[string]string{"SLUICE_COORDINATOR": addr}}
}

// withToken puts the token where LoadToken looks for it.
func withToken(t *testing.T) { t.Setenv(transport.TokenEnv, fakeToken) }

func jobFile(t *testing.T, more string) string {
	return writeFile(t, filepath.Join(t.TempDir(), "job.yaml"), "input: [/lake/landing]\nout: /lake/mart\nn: 3\nthreads: 2\n"+more)
}

func TestSubmitPrintsTheID(t *testing.T) {
	withToken(t)
	f := newFakeCluster()
	c := clusterCall(f.serve(t))
	r := c.run(t, "submit", "-f", jobFile(t, ""), "--name", "nightly")
	if r.code != 0 || r.stdout != string(fakeJob)+"\n" || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	if s := f.submitted[0]; s.N != 3 || s.Out != "/lake/mart" || s.Name != "nightly" {
		t.Errorf("submitted %+v", s)
	}
	if r := c.run(t, "submit", "-f", jobFile(t, ""), "-o", "json"); decode[idOnly](t, r.stdout).Job != fakeJob {
		t.Errorf("%+v", r)
	}
	if r := c.run(t, "submit", "-f", jobFile(t, "name: refused\n")); r.code != exitUsage || r.stderr != "sluice: the coordinator does not want it\n" {
		t.Errorf("%+v", r)
	}
	if r := c.run(t, "submit", "-f", jobFile(t, ""), "--receipt", "r.json"); r.code != exitUsage || r.stderr != "sluice: --receipt: there is none before the job has ended; add --wait\n" {
		t.Errorf("%+v", r)
	}
}

func TestWaitingEndsAsTheJobDoes(t *testing.T) {
	withToken(t)
	failed := func(state model.JobState, f *model.Failure) func(model.JobStatus) model.JobStatus {
		return func(st model.JobStatus) model.JobStatus {
			st.State, st.Failure = state, f
			return st
		}
	}
	tests := []struct {
		name string
		ends func(model.JobStatus) model.JobStatus
		code int
		err  string
	}{
		{"succeeded", nil, 0, ""},
		{"failed", failed(model.JobFailed, model.Failf(model.ReasonInput, "a.parquet: cut short")), 1, "a.parquet: cut short"},
		{"conflict", failed(model.JobFailed, model.Failf(model.ReasonConflict, "not empty")), 4, "not empty"},
		{"verification", failed(model.JobFailed, model.Failf(model.ReasonVerification, "rows are missing")), 3, "rows are missing"},
		{"cancelled", failed(model.JobCancelled, model.Failf(model.ReasonKilled, "cancelled by bob")), 1, "job " + string(fakeJob) + ": cancelled by bob"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeCluster()
			if tt.ends != nil {
				f.ends = tt.ends
			}
			c := clusterCall(f.serve(t))
			receipt := filepath.Join(t.TempDir(), "r.json")
			for _, args := range [][]string{
				{"submit", "-f", jobFile(t, ""), "--wait", "--receipt", receipt},
				{"wait", string(fakeJob), "--receipt", receipt},
				{"repartition", "/lake/landing", "--out", "/lake/mart", "-n", "3", "--receipt", receipt},
			} {
				r := c.run(t, args...)
				want := ""
				if tt.err != "" {
					want = "sluice: " + tt.err + "\n"
				}
				if r.code != tt.code || r.stderr != want || (r.stdout != "") != (tt.code == 0) {
					t.Errorf("%s: %+v", args[0], r)
				}
				if got := readReceipt(t, receipt); got.Job != fakeJob || (got.State == model.JobSucceeded) != (tt.code == 0) {
					t.Errorf("%s: the receipt says %s of %s", args[0], got.State, got.Job)
				}
			}
		})
	}
}

func TestWaitingOutlivesACoordinatorThatGoesAway(t *testing.T) {
	withToken(t)
	f := newFakeCluster()
	f.drops = 2
	addr := f.serve(t)
	if _, err := f.Submit(t.Context(), model.JobSpec{}); err != nil {
		t.Fatal(err)
	}
	a := newApp(nil, nil, nil, func(string) string { return "" })
	c, err := a.dial(clusterFlags{coordinator: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.retryEvery = time.Millisecond
	seen := 0
	st, err := c.wait(t.Context(), fakeJob, func(model.JobStatus) { seen++ })
	if err != nil || st.State != model.JobSucceeded || seen != 4 {
		t.Errorf("%s after %d states, %v", st.State, seen, err)
	}

	f.drops, c.retryFor = 1<<30, 0
	if _, err := c.wait(t.Context(), fakeJob, func(model.JobStatus) {}); !errors.Is(err, transport.ErrUnavailable) {
		t.Errorf("a coordinator that stays away: %v", err)
	}
}

func TestInterruptedWaiting(t *testing.T) {
	withToken(t)
	for _, tt := range []struct {
		args    []string
		cancels bool
	}{
		{[]string{"wait", string(fakeJob)}, false},
		{[]string{"repartition", "/lake/landing", "--out", "/lake/mart", "-n", "3"}, true},
	} {
		f := newFakeCluster()
		f.ends = nil
		if tt.cancels { // the watcher sees the cancelled job
			f.ends = func(st model.JobStatus) model.JobStatus {
				st.State = model.JobCancelled
				return st
			}
		}
		c := clusterCall(f.serve(t))
		if _, err := f.Submit(t.Context(), model.JobSpec{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		watched := f.watched
		if tt.cancels {
			// Submitting needs a live context; the signal comes with the first state.
			ends := f.ends
			f.ends = func(st model.JobStatus) model.JobStatus {
				cancel()
				return ends(st)
			}
		} else {
			go func() {
				<-watched
				cancel()
			}()
		}
		c.ctx, c.interrupted = ctx, true
		r := c.run(t, tt.args...)
		cancel()
		if r.code != exitInterrupted {
			t.Errorf("%s: %+v", tt.args[0], r)
		}
		if goesOn := strings.Contains(r.stderr, "goes on"); goesOn == tt.cancels {
			t.Errorf("%s: %s", tt.args[0], r.stderr)
		}
	}
}

func TestQuestions(t *testing.T) {
	withToken(t)
	f := newFakeCluster()
	c := clusterCall(f.serve(t))
	if r := c.run(t, "get", "jobs", "-o", "json"); r.stdout != "[]\n" {
		t.Errorf("no jobs: %+v", r)
	}
	if r := c.run(t, "submit", "-f", jobFile(t, "")); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := c.run(t, "get", "jobs"); !strings.Contains(r.stdout, string(fakeJob)) {
		t.Errorf("%+v", r)
	}
	if r := c.run(t, "get", "jobs", "-o", "json"); !strings.HasPrefix(r.stdout, "[\n  {\n    \"id\": \""+string(fakeJob)) {
		t.Errorf("id is not first: %s", r.stdout)
	}
	if r := c.run(t, "get", "executors", "-o", "json"); !strings.HasPrefix(r.stdout, "[\n  {\n    \"id\": \"e1\"") {
		t.Errorf("id is not first: %s", r.stdout)
	}
	if r := c.run(t, "describe", "job", string(fakeJob), "-o", "json"); decode[model.JobStatus](t, r.stdout).Spec.N != 3 {
		t.Errorf("%+v", r)
	}
	if r := c.run(t, "cancel", string(fakeJob), "--reason", "enough"); r.code != 0 || r.stdout != "job "+string(fakeJob)+" has ended: cancelled\n" || f.reasons[0] != "enough" {
		t.Errorf("%+v", r)
	}
	for _, verb := range [][]string{{"describe", "job"}, {"wait"}, {"cancel"}} {
		r := c.run(t, append(verb, "unknown")...)
		if r.code != exitUsage || r.stderr != "sluice: no job unknown: `sluice get jobs` lists them\n" {
			t.Errorf("%v: %+v", verb, r)
		}
	}
}

func TestHealthAndTokens(t *testing.T) {
	f := newFakeCluster()
	addr := f.serve(t)
	right := writeFile(t, filepath.Join(t.TempDir(), "token"), fakeToken+"\n")
	wrong := writeFile(t, filepath.Join(t.TempDir(), "token"), "fedcba9876543210\n")
	if r := sluice(t, "health", addr, "--token-file", right, "--log-level", "error"); r.code != 0 || r.stdout != addr+" is ready\n" {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"health", addr, "--token-file", wrong}, {"get", "jobs", "--coordinator", addr, "--log-level", "error"}} {
		r := sluice(t, args...)
		if r.code != exitFailed || !strings.Contains(r.stderr, "the token was refused: give the cluster's token with --token-file or SLUICE_TOKEN") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
