package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/proto/wire/wiretest"
)

// fakeJobs is a backend with one job.
type fakeJobs struct {
	submit  func(model.JobSpec) (model.JobID, error)
	states  []model.JobStatus // what Watch sends
	failure error             // what every method returns
	cancel  string            // "job: reason" of the last Cancel
}

func (f *fakeJobs) Submit(_ context.Context, spec model.JobSpec) (model.JobID, error) {
	if f.submit != nil {
		return f.submit(spec)
	}
	return "job-1", f.failure
}

func (f *fakeJobs) Job(_ context.Context, id model.JobID) (model.JobStatus, error) {
	if id != "job-1" {
		return model.JobStatus{}, fmt.Errorf("job %s: %w", id, ErrNoJob)
	}
	return model.JobStatus{Job: id, State: model.JobRunning}, f.failure
}

func (f *fakeJobs) Jobs(context.Context) ([]model.JobStatus, error) {
	return []model.JobStatus{{Job: "job-2"}, {Job: "job-1"}}, f.failure
}

func (f *fakeJobs) Watch(_ context.Context, _ model.JobID, send func(model.JobStatus) error) error {
	for _, s := range f.states {
		if err := send(s); err != nil {
			return err
		}
	}
	return f.failure
}

func (f *fakeJobs) Cancel(_ context.Context, id model.JobID, reason string) error {
	f.cancel = string(id) + ": " + reason
	return f.failure
}

func (f *fakeJobs) Executors(context.Context) ([]model.ExecutorStatus, error) {
	return []model.ExecutorStatus{{Executor: "e1", Incarnation: 3, LastHeard: time.Unix(5, 6).UTC()}}, f.failure
}

func jobsClient(t *testing.T, f *fakeJobs) *JobsClient {
	t.Helper()
	addr := serve(t, ServerOptions{Token: testToken}, func(s *grpc.Server) { RegisterJobs(s, f) })
	return NewJobsClient(dial(t, addr, DialOptions{Token: testToken}))
}

func TestJobsAPI(t *testing.T) {
	f := &fakeJobs{}
	c := jobsClient(t, f)
	ctx := t.Context()
	var got model.JobSpec
	f.submit = func(s model.JobSpec) (model.JobID, error) { got = s; return "job-7", nil }
	spec := model.JobSpec{Input: []string{"in"}, Out: "not \xff UTF-8", N: 3, TargetFileSize: 1 << 40}
	if id, err := c.Submit(ctx, spec); id != "job-7" || err != nil || !reflect.DeepEqual(got, spec) {
		t.Errorf("Submit: %s, %v, %+v", id, err, got)
	}
	if st, err := c.Get(ctx, "job-1"); err != nil || st.State != model.JobRunning {
		t.Errorf("Get: %+v, %v", st, err)
	}
	if _, err := c.Get(ctx, "job-9"); !errors.Is(err, ErrNoJob) || err.Error() != "job job-9: no such job" {
		t.Errorf("Get of an unknown job: %v", err)
	}
	if l, err := c.List(ctx); err != nil || len(l) != 2 || l[0].Job != "job-2" {
		t.Errorf("List: %+v, %v", l, err)
	}
	if err := c.Cancel(ctx, "job-1", "why"); err != nil || f.cancel != "job-1: why" {
		t.Errorf("Cancel: %v, %q", err, f.cancel)
	}
	want := []model.ExecutorStatus{{Executor: "e1", Incarnation: 3, LastHeard: time.Unix(5, 6).UTC()}}
	if ex, err := c.Executors(ctx); err != nil || !slices.Equal(ex, want) {
		t.Errorf("Executors: %+v, %v", ex, err)
	}
}

// Whatever failure a backend returns, the client gets the same one.
func TestFailuresKeepTheirTypeOverTheWire(t *testing.T) {
	f := &fakeJobs{}
	c := jobsClient(t, f)
	gen := wiretest.Gen[model.Failure]()
	rapid.Check(t, func(t *rapid.T) {
		want := gen.Draw(t, "failure")
		f.failure = &want
		_, err := c.List(context.Background())
		var got *model.Failure
		if !errors.As(err, &got) || !reflect.DeepEqual(*got, want) {
			t.Fatalf("sent %+v, got %+v (%v)", want, got, err)
		}
	})
	f.failure = fmt.Errorf("submitting: %w", &model.SpecError{Field: "n", Problem: "too big"})
	var got *model.Failure
	if _, err := c.List(t.Context()); !errors.As(err, &got) || got.Reason != model.ReasonUser || got.Message != "submitting: n: too big" {
		t.Errorf("a mistake in the spec came back as %v", err)
	}
	f.failure = io.ErrUnexpectedEOF
	if _, err := c.List(t.Context()); !errors.As(err, &got) || got.Reason != model.ReasonInternal {
		t.Errorf("an untyped error came back as %v", err)
	}
}

func TestWatchEndsWithTheTerminalState(t *testing.T) {
	f := &fakeJobs{states: []model.JobStatus{{State: model.JobPlanning}, {State: model.JobRunning}, {State: model.JobSucceeded}}}
	c := jobsClient(t, f)
	var seen []model.JobState
	each := func(s model.JobStatus) error { seen = append(seen, s.State); return nil }
	if err := c.Watch(t.Context(), "job-1", each); err != nil || len(seen) != 3 || seen[2] != model.JobSucceeded {
		t.Errorf("saw %v, %v", seen, err)
	}
	f.states = f.states[:2]
	if err := c.Watch(t.Context(), "job-1", each); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a watch that ended early is not told from one that saw the end: %v", err)
	}
	stop := errors.New("enough")
	if err := c.Watch(t.Context(), "job-1", func(model.JobStatus) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's own error: %v", err)
	}
}

func TestHealth(t *testing.T) {
	var h *Health
	addr := serve(t, ServerOptions{}, func(s *grpc.Server) { h = RegisterHealth(s) })
	conn := dial(t, addr, DialOptions{})
	if err := CheckHealth(t.Context(), conn); err == nil {
		t.Error("a server that is not ready says it is")
	}
	h.SetReady(true)
	if err := CheckHealth(t.Context(), conn); err != nil {
		t.Error(err)
	}
	h.SetReady(false)
	if err := CheckHealth(t.Context(), conn); err == nil {
		t.Error("a server that is no longer ready says it is")
	}
}

// A list of addresses means all of them: the first that answers is taken.
func TestDialTriesAllAddresses(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := dead.Addr().String()
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, ServerOptions{}, registerEverything)
	if _, err := Discover(t.Context(), dial(t, gone+","+addr, DialOptions{})); err != nil {
		t.Errorf("the second address was not tried: %v", err)
	}
	if _, err := Discover(t.Context(), dial(t, gone, DialOptions{})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := Discover(t.Context(), dial(t, "nonsense", DialOptions{})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("not an address: %v", err)
	}
}

func TestResolve(t *testing.T) {
	got, err := Resolve(t.Context(), "127.0.0.1:1, [::1]:2", "127.0.0.1:1", ":3")
	if want := []string{"127.0.0.1:1", "[::1]:2", "127.0.0.1:3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Resolve(t.Context(), ""); err == nil {
		t.Error("no address is an error")
	}
	if _, err := Resolve(t.Context(), "host-without-port"); err == nil {
		t.Error("an address without port is an error")
	}
}

func TestPoolKeepsOneConnectionPerAddress(t *testing.T) {
	p := NewPool(DialOptions{})
	a, err := p.Dial(t.Context(), "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := p.Dial(t.Context(), "127.0.0.1:1"); err != nil || a != b {
		t.Errorf("a second connection to one address: %v", err)
	}
	if c, err := p.Dial(t.Context(), "127.0.0.1:2"); err != nil || a == c {
		t.Errorf("one connection for two addresses: %v", err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if _, err := p.Dial(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("a closed pool dials")
	}
}
