package executor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSession is the coordinator's side of a session in the hands of a test.
type fakeSession struct {
	up   chan core.Event
	down chan core.Message
	end  chan struct{}
	once sync.Once
}

func newFakeSession() *fakeSession {
	return &fakeSession{up: make(chan core.Event, 64), down: make(chan core.Message, 64), end: make(chan struct{})}
}

func (f *fakeSession) Send(e core.Event) error {
	select {
	case f.up <- e:
		return nil
	case <-f.end:
		return errors.New("session over")
	}
}

// Recv delivers what was sent before the end, as real sessions do.
func (f *fakeSession) Recv() (core.Message, error) {
	select {
	case m := <-f.down:
		return m, nil
	case <-f.end:
	}
	select {
	case m := <-f.down:
		return m, nil
	default:
		return nil, io.EOF
	}
}

func (f *fakeSession) Close() error {
	f.once.Do(func() { close(f.end) })
	return nil
}

// rig is an executor whose coordinator is the test.
type rig struct {
	t        *testing.T
	ex       *Executor
	sessions chan *fakeSession
	release  chan struct{} // attempts end when it is closed
	dir      string
	cancel   context.CancelFunc
	done     chan error
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, sessions: make(chan *fakeSession, 8), release: make(chan struct{}), dir: filepath.Join(t.TempDir(), "x"), done: make(chan error, 1)}
	ex, err := New(Config{
		ID: "e", FS: vfs.OS, Dir: r.dir, Addr: "e:1", HostID: "h", Threads: 2, Slots: 1, Memory: 64 << 20,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Open: func(context.Context) (Session, error) {
			s := newFakeSession()
			r.sessions <- s
			return s, nil
		},
		Run: func(ctx context.Context, dir string, _ int64, a model.Assignment, _ func(model.Progress)) (Result, error) {
			if err := os.MkdirAll(filepath.Join(dir, a.Attempt.String()), 0o777); err != nil {
				return Result{}, err
			}
			select {
			case <-ctx.Done():
				return Result{}, ctx.Err()
			case <-r.release:
			}
			if a.Spec.Kind == model.TaskReduce {
				return Result{}, model.Failf(model.ReasonFetchFailed, "gone")
			}
			return Result{Map: &model.MapOutput{Attempt: a.Attempt, Segments: []model.Segment{{DataPath: "d"}}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.ex = ex
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- ex.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	r.cancel()
	if err := <-r.done; !errors.Is(err, context.Canceled) {
		r.t.Errorf("Run ended with %v", err)
	}
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		r.t.Errorf("scratch is left: %v", err)
	}
}

// register takes the next session and answers its registration.
func (r *rig) register(incarnation uint64) (*fakeSession, core.Register) {
	r.t.Helper()
	s := <-r.sessions
	reg, ok := r.next(s).(core.Register)
	if !ok {
		r.t.Fatal("the first message is no registration")
	}
	s.down <- core.Registered{Incarnation: model.Incarnation{Executor: "e", Number: incarnation}, Lease: time.Hour}
	return s, reg
}

func (r *rig) next(s *fakeSession) core.Event {
	r.t.Helper()
	select {
	case e := <-s.up:
		return e
	case <-time.After(10 * time.Second):
		r.t.Fatal("the executor said nothing")
		return nil
	}
}

// report waits for something that is not a heartbeat.
func (r *rig) report(s *fakeSession) core.Event {
	r.t.Helper()
	for {
		if e := r.next(s); !isHeartbeat(e) {
			return e
		}
	}
}

func isHeartbeat(e core.Event) bool {
	_, ok := e.(core.Heartbeat)
	return ok
}

func attemptOf(task int) model.AttemptID {
	return model.AttemptID{Task: model.TaskID{Job: "j", Index: task}}
}

func assign(task int, kind model.TaskKind) core.Assign {
	return core.Assign{Assignment: model.Assignment{Attempt: attemptOf(task), Spec: model.TaskSpec{Kind: kind}, Threads: 1}}
}

func TestReportsSurviveALostSession(t *testing.T) {
	r := start(t)
	s, reg := r.register(1)
	if reg.Previous != 0 || reg.Addr != "e:1" || reg.Threads != 2 {
		t.Errorf("registered as %+v", reg)
	}
	s.down <- assign(0, model.TaskMap)
	s.down <- assign(0, model.TaskMap) // repeated: must not run twice
	close(r.release)
	if f, ok := r.report(s).(core.MapFinished); !ok || f.Incarnation.Number != 1 || f.Output.Attempt != attemptOf(0) {
		t.Fatalf("got %+v", f)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, reg = r.register(1)
	if reg.Previous != 1 || len(reg.Held) != 1 || len(reg.Running) != 1 {
		t.Errorf("came back as %+v", reg)
	}
	if _, ok := r.report(s).(core.MapFinished); !ok {
		t.Error("the report was not sent again")
	}
	if segs, ok := r.ex.Segments(attemptOf(0)); !ok || len(segs) != 1 {
		t.Error("the output is not served")
	}
	s.down <- core.ForgetJob{Job: "j"}
	s.down <- assign(1, model.TaskMap) // of a forgotten job: ignored
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, reg = r.register(1)
	if len(reg.Held)+len(reg.Running) != 0 {
		t.Errorf("a forgotten job is still offered: %+v", reg)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "j")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("scratch of a forgotten job is left: %v", err)
	}
}

func TestNoReportIsLostWhileTheCoordinatorDoesNotRead(t *testing.T) {
	const tasks = 1000 // far more than a session takes before somebody reads
	r := start(t)
	s, _ := r.register(1)
	for i := range tasks {
		s.down <- assign(i, model.TaskMap)
	}
	close(r.release)
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; i < tasks; { // until all have finished, and nobody has read a report
		if _, finished := r.ex.Segments(attemptOf(i)); finished {
			i++
		} else if time.Now().After(deadline) {
			t.Fatalf("task %d did not finish", i)
		} else {
			runtime.Gosched()
		}
	}
	seen := map[model.AttemptID]bool{}
	for len(seen) < tasks {
		f, ok := r.report(s).(core.MapFinished)
		if !ok {
			t.Fatal("no report")
		}
		seen[f.Output.Attempt] = true
	}
}

func TestFailureIsReportedWithItsReason(t *testing.T) {
	r := start(t)
	s, _ := r.register(1)
	s.down <- assign(0, model.TaskReduce)
	close(r.release)
	f, ok := r.report(s).(core.AttemptFailed)
	if !ok || f.Failure.Reason != model.ReasonFetchFailed || f.Failure.Message != "gone" {
		t.Fatalf("got %+v", f)
	}
}

func TestNewIncarnationStopsWhatRan(t *testing.T) {
	r := start(t)
	s, _ := r.register(1)
	s.down <- assign(0, model.TaskMap)
	s.down <- core.Refused{Why: "lost"}
	s, reg := r.register(2)
	if reg.Previous != 0 {
		t.Errorf("a refused incarnation is claimed again: %+v", reg)
	}
	if len(reg.Running) != 1 {
		t.Errorf("what runs is not told: %+v", reg)
	}
	s.down <- core.Revoke{Attempt: attemptOf(0)}
	s.down <- assign(1, model.TaskMap)
	close(r.release)
	for {
		f, ok := r.report(s).(core.MapFinished)
		if !ok {
			t.Fatal("no report")
		}
		if f.Output.Attempt == attemptOf(1) {
			return
		}
		if f.Incarnation.Number != 2 {
			t.Errorf("stamped with %v", f.Incarnation)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{ID: "x"}); err == nil {
		t.Error("an incomplete configuration must be refused")
	}
}
