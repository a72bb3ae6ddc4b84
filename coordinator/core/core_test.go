package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

func TestApplyRefusesWhatItCannotKnow(t *testing.T) {
	submitted := &JobSubmitted{Job: "j"}
	for name, c := range map[string]struct {
		entry Entry
		want  string
	}{
		"newer version":  {Entry{Version: Version + 1, JobSubmitted: submitted}, "version 2"},
		"no version":     {Entry{JobSubmitted: submitted}, "version 0"},
		"no fact":        {Entry{Version: 1}, "0 facts"},
		"two facts":      {Entry{Version: 1, JobSubmitted: submitted, JobEnded: &JobEnded{Job: "j"}}, "2 facts"},
		"unknown job":    {Entry{Version: 1, JobPlanned: &JobPlanned{Job: "x"}}, "no job x"},
		"part missing":   {Entry{Version: 1, PlanPart: &PlanPart{Job: "k", Seq: 3}}, "part 3"},
		"early stage":    {Entry{Version: 1, StageStarted: &StageStarted{Stage: model.StageID{Job: "k", Stage: 1}}}, "out of turn"},
		"foreign sizes":  {Entry{Version: 1, SizesPart: &SizesPart{Attempt: model.AttemptID{Task: model.TaskID{Job: "k"}}, Seq: 1}}, "follows"},
		"early publish":  {Entry{Version: 1, PublishMoved: &PublishMoved{Job: "k", Step: StepCommit}}, "commit"},
		"early result":   {Entry{Version: 1, MapCommitted: &MapCommitted{Output: mapOutput(model.AttemptID{Task: model.TaskID{Job: "k"}})}}, "committed"},
		"early attempt":  {Entry{Version: 1, AttemptStarted: &AttemptStarted{Attempt: model.AttemptID{Task: model.TaskID{Job: "k"}}, Threads: 1}}, "no job k"},
		"not a last one": {Entry{Version: 1, JobEnded: &JobEnded{Job: "k", State: model.JobRunning}}, "running"},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := New(Config{})
			if err := c0.Apply(Entry{Version: 1, JobSubmitted: &JobSubmitted{Job: "k"}}); err != nil {
				t.Fatal(err)
			}
			err := c0.Apply(c.entry)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			if c.entry.Version != 1 && !errors.Is(err, ErrVersion) {
				t.Errorf("%v must be an ErrVersion", err)
			}
		})
	}
}

func TestAnUnknownFieldIsAnEntryOfNoFact(t *testing.T) {
	var e Entry
	if err := json.Unmarshal([]byte(`{"version":1,"now":"2026-01-01T00:00:00Z","job_teleported":{"job":"j"}}`), &e); err != nil {
		t.Fatal(err)
	}
	if err := New(Config{}).Apply(e); err == nil {
		t.Fatal("a fact that this version does not know must be refused, not skipped")
	}
}

// TestLongEntriesAreCut plans a job whose every list is longer than an entry; env fails the test
// when an entry is too long, and when a replay gives another state.
func TestLongEntriesAreCut(t *testing.T) {
	e := newEnv(t, Config{})
	e.command("register a threads=2")
	e.command("submit j1")
	p := testPlan("j1", model.PartitionHash, 1)
	p.Conf.Partitioning = model.Partitioning{Kind: model.PartitionHash, N: 40_000, By: []string{"x"}}
	p.Conf.InputSchema = []byte(strings.Repeat("schema", 250_000))
	for i := range 5000 {
		p.Old = append(p.Old, plan.OldFile{Path: fmt.Sprintf("type=%d/%s", i, strings.Repeat("x", 200))})
		p.Splits[0].Chunks = append(p.Splits[0].Chunks, model.SplitChunk{
			Path: fmt.Sprintf("/in/%d/%s", i, strings.Repeat("y", 200)), RowGroups: []int{0, 1}, Rows: 1, Bytes: 1})
	}
	e.handle(Planned{Job: "j1", Plan: p})
	e.checkReplay()
	j := e.replay().jobs["j1"]
	if len(j.splits) != 1 || len(j.splits[0].Chunks) != 5001 || j.splits[0].Rows != splitRows || len(j.old) != 5000 || len(j.conf.InputSchema) != 1_500_000 {
		t.Fatalf("after a replay: %d splits, %d old files, %d bytes of schema", len(j.splits), len(j.old), len(j.conf.InputSchema))
	}

	o := mapOutput(model.AttemptID{Task: model.TaskID{Job: "j1"}})
	o.Buckets, o.Hot, o.Rows = nil, nil, 30_000
	for i := range 30_000 {
		o.Buckets = append(o.Buckets, model.BucketSize{Bucket: uint32(i), Rows: 1, Bytes: 1 << 20})
	}
	for i := range 2000 {
		o.Hot = append(o.Hot, model.ValueSize{Key: model.PartitionKey{Bucket: uint32(i), Path: strings.Repeat("v", 900)}, Rows: 1, Bytes: 1 << 20})
	}
	e.handle(MapFinished{Incarnation: e.incarnation("a"), Output: o})
	e.checkReplay()
	st := e.replay().jobs["j1"].stages[0]
	if got := len(st.sizes.Buckets()); got != 30_000 {
		t.Errorf("%d buckets after a replay, want 30000", got)
	}
	if got := len(st.sizes.Hot()); got != 2000 {
		t.Errorf("%d hot values after a replay, want 2000", got)
	}
}

// TestPartsOfAnAbandonedPlanAreDropped crashes between the parts of a plan and its end.
func TestPartsOfAnAbandonedPlanAreDropped(t *testing.T) {
	e := newEnv(t, Config{})
	e.command("submit j1")
	actions := e.core.Handle(e.now, Planned{Job: "j1", Plan: testPlan("j1", model.PartitionValue, 2)})
	e.keep(actions[:1]) // the part became durable, nothing after it
	e.core, e.twin = e.replay(), e.replay()
	e.core.Recovered(e.now)
	e.twin.Recovered(e.now)
	e.command("plan j1 splits=3")
	e.checkReplay()
	if n := len(e.core.jobs["j1"].splits); n != 3 {
		t.Errorf("%d splits, want the 3 of the second plan", n)
	}
}

func TestAFileWithTooManyRowGroupsIsNamed(t *testing.T) {
	e := newEnv(t, Config{})
	e.command("submit j1")
	p := testPlan("j1", model.PartitionValue, 1)
	p.Splits[0].Chunks[0].RowGroups = make([]int, 100_000)
	e.handle(Planned{Job: "j1", Plan: p})
	e.command("done j1 cleanup")
	j, _ := e.core.Job("j1")
	if j.State != model.JobFailed || j.Failure.Reason != model.ReasonUser || !strings.Contains(j.Failure.Message, "/in/0") {
		t.Errorf("job %s: %+v", j.State, j.Failure)
	}
}

// TestAClockThatWasSetBack restarts a coordinator whose clock is an hour behind its journal.
func TestAClockThatWasSetBack(t *testing.T) {
	e := newEnv(t, Config{})
	e.command("register a")
	e.command("submit j1")
	e.command("plan j1")
	e.now = e.now.Add(-time.Hour)
	e.restart()
	at, ok := e.core.NextDeadline()
	if !ok || at.Sub(e.now) != DefaultLease {
		t.Fatalf("next deadline in %v, want the lease of %v", at.Sub(e.now), DefaultLease)
	}
	out := e.command("until-deadline")
	if !strings.Contains(out, "executor_lost a@1") {
		t.Errorf("the lease must run out: %s", out)
	}
}

func TestStuckPublishKeepsItsRecord(t *testing.T) {
	for _, c := range []struct{ steps, fail, want string }{
		{"record,rename,check,commit", "finish", "the new data is committed"},
		{"record,rename,check-verification", "undo", "could not be removed again"},
	} {
		e := newEnv(t, Config{})
		e.command("register a")
		e.command("submit j1")
		e.command("plan j1 splits=1 kind=none")
		e.command("write a j1.0.0.0")
		for _, s := range strings.Split(c.steps, ",") {
			if s, reason, bad := strings.Cut(s, "-"); bad {
				e.command("step-failed j1 " + s + " " + reason)
				continue
			}
			e.command("done j1 " + s)
		}
		var out string
		for range 40 {
			out += e.command("step-failed j1 "+c.fail+" io") + e.command("until-deadline")
		}
		j, _ := e.core.Job("j1")
		if j.State != model.JobFailed || !strings.Contains(j.Failure.Message, c.want) || !strings.Contains(j.Failure.Message, "writes to /out finishes it") {
			t.Errorf("%s: job %s: %+v", c.fail, j.State, j.Failure)
		}
		if strings.Contains(out, "publish j1: cleanup") {
			t.Errorf("%s: the record must stay, but cleanup was asked", c.fail)
		}
		e.checkReplay()
	}
}

func TestProgressIsSeenAndNotJournaled(t *testing.T) {
	e := newEnv(t, Config{})
	e.command("register a")
	e.command("submit j1")
	e.command("plan j1 splits=1")
	id := model.AttemptID{Task: model.TaskID{Job: "j1"}}
	before := len(e.journal)
	out := describe(e.handle(Heartbeat{Incarnation: e.incarnation("a"), Session: 1, Progress: []model.Progress{{Attempt: id, Rows: 42}}}))
	if out != "changed j1\n" || len(e.journal) != before {
		t.Errorf("a heartbeat with progress led to %q and %d entries", out, len(e.journal)-before)
	}
	if j, _ := e.core.Job("j1"); j.Stages[0].Rows != 42 {
		t.Errorf("rows %d, want the progress of 42", j.Stages[0].Rows)
	}
	e.command("map a j1.0.0.0")
	if j, _ := e.core.Job("j1"); j.Stages[0].Rows != splitRows {
		t.Errorf("rows %d, want %d and no progress on top", j.Stages[0].Rows, splitRows)
	}
}

func TestEndedJobsAndLostExecutorsAreForgotten(t *testing.T) {
	e := newEnv(t, Config{})
	var last model.JobID
	for i := range maxEndedJobs + 10 {
		last = model.JobID(fmt.Sprintf("j%d", i))
		e.handle(Submit{Job: last})
		text := "short"
		if i == maxEndedJobs {
			text = strings.Repeat("long ", 10_000)
		}
		e.handle(PlanFailed{Job: last, Failure: *model.Failf(model.ReasonInput, "%s", text)})
		e.handle(PublishDone{Job: last, Step: StepCleanup})
	}
	if n := len(e.core.Jobs()); n != maxEndedJobs {
		t.Errorf("%d jobs are remembered, want %d", n, maxEndedJobs)
	}
	if _, ok := e.core.Job("j0"); ok {
		t.Error("the oldest job must go first")
	}
	if _, ok := e.core.Job(last); !ok {
		t.Error("the newest job must stay")
	}
	if j, _ := e.core.Job(model.JobID(fmt.Sprintf("j%d", maxEndedJobs))); len(j.Failure.Message) != maxFailureText {
		t.Errorf("a failure of %d bytes, want its first %d", len(j.Failure.Message), maxFailureText)
	}
	for i := range maxLostExecutors + 10 {
		x := fmt.Sprintf("x%d", i)
		e.command("register " + x)
		e.command("broken " + x)
		e.command("sleep 2s")
	}
	if n := len(e.core.Executors()); n != maxLostExecutors {
		t.Errorf("%d executors are remembered, want %d", n, maxLostExecutors)
	}
	e.checkReplay()
}

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("defaults must be valid: %v", err)
	}
	for _, c := range []Config{{Lease: -1}, {ReconnectGrace: time.Minute}, {NoExecutorGrace: time.Nanosecond}} {
		if c.Validate() == nil {
			t.Errorf("%+v must be refused", c)
		}
	}
}

func TestBadReportsNeverReachTheBooks(t *testing.T) {
	for name, spoil := range map[string]func(*model.MapOutput){
		"bucket out of range": func(o *model.MapOutput) { o.Buckets[1].Bucket = 16 },
		"order":               func(o *model.MapOutput) { o.Buckets[0].Bucket = 12 },
		"empty bucket":        func(o *model.MapOutput) { o.Buckets[0].Rows = 0 },
		"negative rows":       func(o *model.MapOutput) { o.InRows = -1 },
		"hot out of range":    func(o *model.MapOutput) { o.Hot[0].Key.Bucket = 99 },
	} {
		e := newEnv(t, Config{})
		e.command("register a")
		e.command("submit j1")
		e.command("plan j1 splits=1")
		o := mapOutput(model.AttemptID{Task: model.TaskID{Job: "j1"}})
		spoil(&o)
		if out := describe(e.handle(MapFinished{Incarnation: e.incarnation("a"), Output: o})); !strings.Contains(out, "attempt_failed") {
			t.Errorf("%s: %s", name, out)
		}
	}
	// Attempts that nobody started, or of stages that are not there, lead to nothing.
	e := newEnv(t, Config{})
	e.command("register a")
	e.command("submit j1")
	e.command("plan j1 splits=1")
	for _, id := range []string{"j1.0.0.1", "j1.0.7.0", "j1.1.0.0", "j1.9.0.0", "nobody.0.0.0"} {
		if out := e.command("map a "+id) + e.command("write a "+id) + e.command("fail a "+id+" io"); strings.Contains(out, "journal") {
			t.Errorf("%s: %s", id, out)
		}
	}
	if out := e.command("write a j1.0.0.0"); strings.Contains(out, "journal") {
		t.Errorf("a map attempt cannot report files: %s", out)
	}
}
