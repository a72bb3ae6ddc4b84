package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeWork plans a job of two map tasks and publishes without doing anything.
type fakeWork struct {
	mu      sync.Mutex
	steps   []core.PublishStepKind
	adopted []model.JobID
	fail    map[core.PublishStepKind]*model.Failure
	planErr error
	closed  int
}

func (w *fakeWork) Plan(_ context.Context, a core.PlanJob, slots int) (plan.Job, error) {
	if w.planErr != nil {
		return plan.Job{}, w.planErr
	}
	return plan.Job{
		Conf: model.JobConf{
			Job: a.Job, UUID: a.UUID, Partitioning: a.Spec.Partitioning(), Codec: "snappy", Out: a.Spec.Out,
			StagingDir: "/x/_sluice-j.tmp/_sluice/stage", TargetFileBytes: 1 << 20, RowGroupBytes: 1 << 20, PieceRows: 10,
		},
		Splits:     []model.Split{{Index: 0, Rows: 5, Bytes: 50}, {Index: 1, Rows: 5, Bytes: 50}},
		InputFiles: 2, InputRows: 10, InputBytes: 100,
	}, nil
}

func (w *fakeWork) Publish(_ context.Context, s core.PublishStepKind, a core.PublishArgs) (core.PublishResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
	if f := w.fail[s]; f != nil {
		return core.PublishResult{}, f
	}
	return core.PublishResult{Rows: a.ExpectedRows, Files: 1}, nil
}

func (w *fakeWork) Adopt(_ context.Context, c model.JobConf) error {
	w.adopted = append(w.adopted, c.Job)
	return nil
}

func (w *fakeWork) Close() error { w.closed++; return nil }

// rig is a running coordinator with executors that the test plays.
type rig struct {
	t    *testing.T
	co   *Coordinator
	pipe *transport.Pipe
	work *fakeWork
	stop func() error
}

type backend struct{ *Coordinator }

func (backend) Discover(context.Context) (transport.Discovery, error) {
	return transport.Discovery{}, nil
}

func start(t *testing.T, path string, work *fakeWork) *rig {
	t.Helper()
	log, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	co, err := New(Config{Log: log, Work: work, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- co.Run(ctx) }()
	r := &rig{t: t, co: co, work: work, pipe: transport.NewPipe(backend{co})}
	r.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		return errors.Join(err, r.pipe.Close())
	})
	t.Cleanup(func() {
		if err := r.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return r
}

// executor plays an executor: it finishes every task at once, until limit tasks are done, and tells
// which it ran.
type executor struct {
	s   transport.ExecutorSession
	ran chan model.AttemptID
}

func (r *rig) executor(id string, previous uint64, held []core.HeldOutput, limit int) *executor {
	r.t.Helper()
	s, err := r.pipe.OpenSession(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	reg := core.Register{Executor: model.ExecutorID(id), Previous: previous, Addr: id + ":1", HostID: "h", Threads: 2, Slots: 2, Memory: 1 << 30, Held: held}
	if err := s.Send(reg); err != nil {
		r.t.Fatal(err)
	}
	m, err := s.Recv()
	if err != nil {
		r.t.Fatal(err)
	}
	on := m.(core.Registered).Incarnation
	e := &executor{s: s, ran: make(chan model.AttemptID, 64)}
	go func() {
		for n := 0; ; {
			m, err := s.Recv()
			if err != nil {
				close(e.ran)
				return
			}
			a, ok := m.(core.Assign)
			if !ok || n == limit {
				continue
			}
			n++
			if err := s.Send(finished(a.Assignment, on)); err != nil {
				close(e.ran)
				return
			}
			e.ran <- a.Assignment.Attempt
		}
	}()
	r.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			r.t.Logf("closing: %v", err)
		}
	})
	return e
}

func finished(a model.Assignment, on model.Incarnation) core.Event {
	if a.Spec.Kind == model.TaskMap {
		return core.MapFinished{Incarnation: on, Output: model.MapOutput{
			Attempt: a.Attempt, InRows: 5, Rows: 5, Bytes: 50, Segments: []model.Segment{{DataPath: "d", IndexPath: "i", DataBytes: 50}},
			Buckets: []model.BucketSize{{Bucket: uint32(a.Attempt.Task.Index), Rows: 5, Bytes: 50}},
			Hash:    model.ContentHash{Rows: 5, RowSum: 7},
		}}
	}
	return core.WriteFinished{Incarnation: on, Output: model.WriteOutput{
		Attempt: a.Attempt, Files: 1, Rows: 10, Bytes: 90, Manifest: model.ManifestRef{Path: fmt.Sprintf("/m/%s", a.Attempt)},
	}}
}

func (r *rig) submit() model.JobID {
	r.t.Helper()
	id, err := r.co.Submit(context.Background(), model.JobSpec{Name: "n", Key: "k", Input: []string{"/in"}, Out: "/out", PartitionBy: []string{"type"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) await(id model.JobID) model.JobStatus {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var last model.JobStatus
	if err := r.co.Watch(ctx, id, func(s model.JobStatus) error { last = s; return nil }); err != nil {
		r.t.Fatalf("watching: %v, last state %+v", err, last)
	}
	return last
}

func TestJobRunsToItsReceipt(t *testing.T) {
	w := &fakeWork{}
	r := start(t, filepath.Join(t.TempDir(), "j.db"), w)
	r.executor("a", 0, nil, 99)
	id := r.submit()
	if again := r.submit(); again != id {
		t.Errorf("the same name and key made another job: %s and %s", id, again)
	}
	st := r.await(id)
	if st.State != model.JobSucceeded || st.Receipt == nil || st.Receipt.RowsIn != 10 || st.Receipt.RowsOut != 10 || st.Receipt.Hash.RowSum != 14 {
		t.Fatalf("got %+v, receipt %+v", st, st.Receipt)
	}
	want := []core.PublishStepKind{core.StepRecord, core.StepRename, core.StepCheck, core.StepCommit, core.StepFinish, core.StepCleanup}
	if !slices.Equal(w.steps, want) {
		t.Errorf("steps %v", w.steps)
	}
	if _, err := r.co.Job(context.Background(), "nope"); !errors.Is(err, transport.ErrNoJob) {
		t.Errorf("an unknown job: %v", err)
	}
}

func TestRestartGoesOnWithoutDoingAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	r := start(t, path, &fakeWork{})
	e := r.executor("a", 0, nil, 2) // finishes the two maps, then takes the reduce task and is silent
	id := r.submit()
	first, second := <-e.ran, <-e.ran
	held := []core.HeldOutput{
		{Attempt: first, Segments: []model.Segment{{DataPath: "d", IndexPath: "i", DataBytes: 50}}},
		{Attempt: second, Segments: []model.Segment{{DataPath: "d", IndexPath: "i", DataBytes: 50}}},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	errReducing := errors.New("reducing")
	err := r.co.Watch(ctx, id, func(s model.JobStatus) error {
		if len(s.Stages) == 2 && s.Stages[0].Done == 2 {
			return errReducing
		}
		return nil
	})
	if !errors.Is(err, errReducing) {
		t.Fatal(err)
	}
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w := &fakeWork{}
	r = start(t, path, w)
	e = r.executor("a", 1, held, 99)
	st := r.await(id)
	if st.State != model.JobSucceeded {
		t.Fatalf("got %+v", st)
	}
	if !slices.Equal(w.adopted, []model.JobID{id}) {
		t.Errorf("adopted %v", w.adopted)
	}
	if st.Receipt.MapTasks != 2 || st.Receipt.RowsOut != 10 {
		t.Errorf("receipt %+v", st.Receipt)
	}
	if err := e.s.Close(); err != nil {
		t.Fatal(err)
	}
	for a := range e.ran {
		if a.Task.Stage == 0 {
			t.Errorf("map attempt %s ran again after the restart", a)
		}
	}
}

func TestFailuresEndTheJobAndCleanUp(t *testing.T) {
	conflict := model.Failf(model.ReasonConflict, "not empty")
	r := start(t, filepath.Join(t.TempDir(), "j.db"), &fakeWork{planErr: conflict})
	if st := r.await(r.submit()); st.State != model.JobFailed || st.Failure.Reason != model.ReasonConflict {
		t.Errorf("planning failed, job is %+v", st)
	}

	w := &fakeWork{fail: map[core.PublishStepKind]*model.Failure{core.StepCheck: model.Failf(model.ReasonVerification, "a row is lost")}}
	r = start(t, filepath.Join(t.TempDir(), "j.db"), w)
	r.executor("a", 0, nil, 99)
	st := r.await(r.submit())
	if st.State != model.JobFailed || st.Failure.Reason != model.ReasonVerification {
		t.Errorf("verification failed, job is %+v", st)
	}
	if n := len(w.steps); n < 2 || w.steps[n-1] != core.StepCleanup || w.steps[n-2] != core.StepUndo {
		t.Errorf("steps %v", w.steps)
	}
}

func TestCancelEndsARunningJob(t *testing.T) {
	w := &fakeWork{}
	r := start(t, filepath.Join(t.TempDir(), "j.db"), w)
	e := r.executor("a", 0, nil, 1)
	id := r.submit()
	<-e.ran
	if err := r.co.Cancel(context.Background(), id, "enough"); err != nil {
		t.Fatal(err)
	}
	if st := r.await(id); st.State != model.JobCancelled {
		t.Errorf("got %+v", st)
	}
	if !slices.Equal(w.steps, []core.PublishStepKind{core.StepCleanup}) {
		t.Errorf("steps %v", w.steps)
	}
}

// brokenLog fails to append after some entries.
type brokenLog struct {
	Log
	left int
}

func (b *brokenLog) Append(e ...[]byte) error {
	b.left -= len(e)
	if b.left < 0 {
		return errors.New("no space left on device")
	}
	return b.Log.Append(e...)
}

func TestBrokenJournalStopsTheCoordinator(t *testing.T) {
	log, err := journal.Open(filepath.Join(t.TempDir(), "j.db"))
	if err != nil {
		t.Fatal(err)
	}
	w := &fakeWork{}
	co, err := New(Config{Log: &brokenLog{Log: log}, Work: w, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- co.Run(context.Background()) }()
	_, err = co.Submit(context.Background(), model.JobSpec{Input: []string{"/in"}, Out: "/out", PartitionBy: []string{"type"}})
	if err == nil {
		t.Error("a job was accepted that the journal does not hold")
	}
	if err := <-done; err == nil || w.closed != 1 {
		t.Errorf("Run ended with %v", err)
	}
}
