package core

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/sluice-engine/sluice/model"
)

// TestScripts runs the stories in testdata/scripts. After every command the state is compared with that of a
// replay of the journal, so each of them tests a restart in each of its states as well.
//
// Commands, several to a block:
//
//	submit JOB [key=K] [inputs=N]        plan JOB splits=N [kind=none] [execution=fused]
//	plan-failed JOB
//	register X [threads=N] [slots=N] [prev=N] [held=ATTEMPT,...] [running=ATTEMPT,...]
//	map X ATTEMPT [rows=N] [as=N]        write X ATTEMPT [rows=N] [in=N]     (as: an older incarnation)
//	fail X ATTEMPT REASON [as=N]         fetch-failed X ATTEMPT source=ATTEMPT holder=X@N
//	broken X   beat X [as=N]   suspect X   leaving X   cancel JOB
//	done JOB STEP [committed]            step-failed JOB STEP REASON
//	sleep DURATION     until-deadline    restart     jobs     executors     receipt JOB
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		e := newEnv(t, Config{})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			e.t = t
			var out strings.Builder
			for _, line := range append([]string{d.Cmd + argsText(d)}, strings.Split(d.Input, "\n")...) {
				if line = strings.TrimSpace(line); line == "" {
					continue
				}
				if d.Input != "" {
					fmt.Fprintf(&out, "> %s\n", line)
				}
				out.WriteString(e.command(line))
				e.checkReplay()
			}
			return out.String()
		})
	})
}

func argsText(d *datadriven.TestData) string {
	var b strings.Builder
	for _, a := range d.CmdArgs {
		b.WriteString(" " + a.Key)
		if len(a.Vals) > 0 {
			b.WriteString("=" + strings.Join(a.Vals, ","))
		}
	}
	return b.String()
}

// args are the words of a command: positional ones, and key=value.
type args struct {
	t     failer
	line  string
	words []string
	keys  map[string]string
}

func parse(t failer, line string) args {
	a := args{t: t, line: line, keys: map[string]string{}}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			a.keys[k] = v
		} else {
			a.words = append(a.words, f)
		}
	}
	return a
}

func (a args) word(i int) string {
	if i >= len(a.words) {
		a.t.Fatalf("%q: too few words", a.line)
	}
	return a.words[i]
}

func (a args) number(key string, def int) int {
	v, ok := a.keys[key]
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return n
}

func (a args) attempt(s string) model.AttemptID {
	id, err := model.ParseAttemptID(s)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return id
}

func (a args) attempts(key string) []model.AttemptID {
	var ids []model.AttemptID
	if a.keys[key] != "" {
		for _, s := range strings.Split(a.keys[key], ",") {
			ids = append(ids, a.attempt(s))
		}
	}
	return ids
}

func (e *env) command(line string) string {
	a := parse(e.t, line)
	job := func() model.JobID { return model.JobID(a.word(1)) }
	switch a.words[0] {
	case "submit":
		spec := model.JobSpec{Name: "n", Key: a.keys["key"], Out: "/out", Verify: model.VerifyRows, PartitionBy: []string{"type"}}
		for i := range a.number("inputs", 1) {
			spec.Input = append(spec.Input, fmt.Sprintf("/in/%d", i))
		}
		return describe(e.handle(Submit{Job: job(), UUID: "u", Spec: spec}))
	case "plan":
		kind := model.PartitionValue
		if a.keys["kind"] == "none" {
			kind = model.PartitionNone
		}
		p := testPlan(job(), kind, a.number("splits", 2))
		p.Conf.Execution = model.Execution(a.keys["execution"])
		return describe(e.handle(Planned{Job: job(), Plan: p}))
	case "plan-failed":
		return describe(e.handle(PlanFailed{Job: job(), Failure: *model.Failf(model.ReasonInput, "/in/1: not a Parquet file")}))
	case "cancel":
		return describe(e.handle(Cancel{Job: job(), Reason: "by hand"}))
	case "done":
		return describe(e.handle(PublishDone{Job: job(), Step: PublishStepKind(a.word(2)), Result: PublishResult{
			Record: RecordRef{Path: "/out/_sluice/record"}, Files: 2, Rows: 200, Committed: len(a.words) > 3}}))
	case "step-failed":
		return describe(e.handle(PublishFailed{Job: job(), Step: PublishStepKind(a.word(2)),
			Failure: *model.Failf(model.Reason(a.word(3)), "step went wrong")}))
	case "sleep":
		d, err := time.ParseDuration(a.word(1))
		if err != nil {
			e.t.Fatal(err)
		}
		e.now = e.now.Add(d)
		return describe(e.handle(Tick{}))
	case "until-deadline":
		at, ok := e.core.NextDeadline()
		if !ok {
			return "no deadline\n"
		}
		s := fmt.Sprintf("after %v\n", at.Sub(e.now))
		e.now = at
		return s + describe(e.handle(Tick{}))
	case "restart":
		return describe(e.restart())
	case "jobs", "executors", "receipt":
		return e.show(a)
	}
	return e.executorCommand(a)
}

func (e *env) executorCommand(a args) string {
	x := model.ExecutorID(a.word(1))
	on := e.incarnation(x)
	on.Number = uint64(a.number("as", int(on.Number)))
	switch a.words[0] {
	case "register":
		e.session++
		e.sessions[x] = e.session
		r := Register{Executor: x, Previous: uint64(a.number("prev", 0)), Addr: string(x) + ":1", HostID: "h",
			Threads: a.number("threads", 2), Slots: a.number("slots", 1), Running: a.attempts("running"), Session: e.session}
		for _, id := range a.attempts("held") {
			r.Held = append(r.Held, HeldOutput{Attempt: id, Segments: mapOutput(id).Segments})
		}
		return describe(e.handle(r))
	case "map":
		o := mapOutput(a.attempt(a.word(2)))
		o.Rows = int64(a.number("rows", int(o.Rows)))
		return describe(e.handle(MapFinished{Incarnation: on, Output: o}))
	case "write":
		id := a.attempt(a.word(2))
		inRows := int64(0)
		if id.Task.Stage == 0 {
			inRows = splitRows
		}
		return describe(e.handle(WriteFinished{Incarnation: on, Output: writeOutput(id, int64(a.number("rows", splitRows)), int64(a.number("in", int(inRows))))}))
	case "fail":
		return describe(e.handle(AttemptFailed{Incarnation: on, Attempt: a.attempt(a.word(2)),
			Failure: *model.Failf(model.Reason(a.word(3)), "it broke")}))
	case "fetch-failed":
		holder, number, _ := strings.Cut(a.keys["holder"], "@")
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			e.t.Fatal(err)
		}
		f := model.Failf(model.ReasonFetchFailed, "cannot read")
		f.Fetch = &model.FetchFailed{Holder: model.Incarnation{Executor: model.ExecutorID(holder), Number: n},
			Attempt: a.attempt(a.keys["source"]), Cause: "bad checksum"}
		return describe(e.handle(AttemptFailed{Incarnation: on, Attempt: a.attempt(a.word(2)), Failure: *f}))
	case "broken":
		s := e.sessions[x]
		delete(e.sessions, x)
		return describe(e.handle(StreamBroken{Incarnation: on, Session: s}))
	case "beat":
		return describe(e.handle(Heartbeat{Incarnation: on, Session: e.sessions[x]}))
	case "suspect":
		return describe(e.handle(Suspected{Executor: x}))
	case "leaving":
		return describe(e.handle(Leaving{Incarnation: on}))
	}
	e.t.Fatalf("unknown command %q", a.line)
	return ""
}

func (e *env) show(a args) string {
	var b strings.Builder
	switch a.words[0] {
	case "jobs":
		for _, j := range e.core.Jobs() {
			fmt.Fprintf(&b, "%s %s", j.Job, j.State)
			if j.Detail != "" {
				fmt.Fprintf(&b, " (%s)", j.Detail)
			}
			for _, s := range j.Stages {
				fmt.Fprintf(&b, " | %s %d/%d running=%d failed=%d lost=%d rows=%d/%d", s.Kind, s.Done, s.Tasks, s.Running, s.Failed, s.Lost, s.Rows, s.RowsGoal)
			}
			if j.Failure != nil {
				fmt.Fprintf(&b, "\n  %s: %s", j.Failure.Reason, j.Failure.Message)
			}
			b.WriteString("\n")
		}
	case "executors":
		for _, x := range e.core.Executors() {
			fmt.Fprintf(&b, "%s@%d %s running=%d outputs=%d\n", x.Executor, x.Incarnation, x.State, x.Running, x.Outputs)
		}
	case "receipt":
		j, _ := e.core.Job(model.JobID(a.word(1)))
		if j.Receipt == nil {
			return "none\n"
		}
		r := *j.Receipt
		fmt.Fprintf(&b, "%s rows=%d/%d files=%d/%d maps=%d writes=%d retries=%d partitions=%d hash=%d/%d hot=%v sizes=%v\n",
			r.State, r.RowsIn, r.RowsOut, r.FilesIn, r.FilesOut, r.MapTasks, r.Tasks, r.Retries, r.Partitions, r.Hash.Rows, r.Hash.RowSum, r.HotKeys, r.FileSizes)
	}
	return b.String()
}
