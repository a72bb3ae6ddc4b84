package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// env drives a core as a shell would, and checks on every step what must always hold: entries fit, a
// twin that gets the same events answers byte for byte the same, and a replay of the journal gives
// the same state.
type env struct {
	t       failer
	cfg     Config
	core    *Core
	twin    *Core
	now     time.Time
	journal [][]byte

	session  uint64
	sessions map[model.ExecutorID]uint64
	numbers  map[model.ExecutorID]uint64
}

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var epoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func newEnv(t failer, cfg Config) *env {
	return &env{
		t: t, cfg: cfg, core: New(cfg), twin: New(cfg), now: epoch,
		sessions: map[model.ExecutorID]uint64{}, numbers: map[model.ExecutorID]uint64{},
	}
}

// handle feeds an event and returns the actions, which it has kept track of.
func (e *env) handle(ev Event) []Action {
	e.t.Helper()
	actions := e.core.Handle(e.now, ev)
	if other := e.twin.Handle(e.now, ev); describe(actions) != describe(other) {
		e.t.Fatalf("two cores with the same events differ after %T:\n%s\nand\n%s", ev, describe(actions), describe(other))
	}
	e.keep(actions)
	return actions
}

// keep journals what is to be durable and remembers incarnations.
func (e *env) keep(actions []Action) {
	e.t.Helper()
	for _, a := range actions {
		switch a := a.(type) {
		case Append:
			b, err := json.Marshal(a.Entry)
			if err != nil {
				e.t.Fatal(err)
			}
			if len(b) > MaxEntryBytes {
				e.t.Fatalf("entry %s of %d bytes: the limit is %d", a.Entry.Kind(), len(b), MaxEntryBytes)
			}
			e.journal = append(e.journal, b)
		case Send:
			if r, ok := a.Message.(Registered); ok {
				e.numbers[r.Incarnation.Executor] = r.Incarnation.Number
			}
		}
	}
}

// replay makes a core from the journal.
func (e *env) replay() *Core {
	e.t.Helper()
	c := New(e.cfg)
	for i, b := range e.journal {
		var entry Entry
		if err := json.Unmarshal(b, &entry); err != nil {
			e.t.Fatal(err)
		}
		if err := c.Apply(entry); err != nil {
			e.t.Fatalf("entry %d: %v", i, err)
		}
	}
	return c
}

func dumpOf(t failer, c *Core) string {
	t.Helper()
	var b strings.Builder
	if err := c.Dump(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkReplay compares the state with that of a replay.
func (e *env) checkReplay() {
	e.t.Helper()
	if live, replayed := dumpOf(e.t, e.core), dumpOf(e.t, e.replay()); live != replayed {
		e.t.Fatalf("after a replay of %d entries the state differs:\n%s\nbefore:\n%s", len(e.journal), replayed, live)
	}
}

// restart goes on with a core made from the journal; all sessions are gone.
func (e *env) restart() []Action {
	e.t.Helper()
	e.checkReplay()
	e.core, e.twin = e.replay(), e.replay()
	e.sessions = map[model.ExecutorID]uint64{}
	actions := e.core.Recovered(e.now)
	if other := e.twin.Recovered(e.now); describe(actions) != describe(other) {
		e.t.Fatalf("two recovered cores differ:\n%s\nand\n%s", describe(actions), describe(other))
	}
	e.keep(actions)
	return actions
}

func (e *env) incarnation(x model.ExecutorID) model.Incarnation {
	return model.Incarnation{Executor: x, Number: e.numbers[x]}
}

const mib = 1 << 20

// A test's split has 100 rows in 10 MiB; half of them go to bucket 3 and half to bucket 11 of 16.
const splitRows = 100

func testPlan(job model.JobID, kind model.PartitionerKind, splits int) plan.Job {
	p := plan.Job{
		Conf: model.JobConf{
			Job: job, UUID: "u", InputSchema: []byte("schema"), Codec: "zstd", TargetFileBytes: 8 * mib,
			Partitioning: model.Partitioning{Kind: kind, Buckets: 16, PartitionBy: []string{"type"}},
			Out:          "/out", StagingDir: "/out/_sluice/" + string(job),
		},
		InputFiles: int64(splits), InputRows: int64(splits) * splitRows, InputBytes: int64(splits) * 10 * mib,
	}
	for i := range splits {
		p.Splits = append(p.Splits, model.Split{Index: i, Rows: splitRows, Bytes: 10*mib + int64(splits-i), Chunks: []model.SplitChunk{
			{Path: fmt.Sprintf("/in/%d", i), RelPath: fmt.Sprint(i), RowGroups: []int{0}, Rows: splitRows, Bytes: 10 * mib}}})
	}
	return p
}

func mapOutput(id model.AttemptID) model.MapOutput {
	return model.MapOutput{
		Attempt:  id,
		Segments: []model.Segment{{DataPath: "/tmp/" + id.String(), DataBytes: 20 * mib, IndexBytes: 100, IndexCRC: uint32(id.Task.Index)}},
		InRows:   splitRows, InBytes: 10 * mib, Rows: splitRows, Bytes: 20 * mib, Values: 2,
		Buckets: []model.BucketSize{{Bucket: 3, Rows: splitRows / 2, Bytes: 10 * mib}, {Bucket: 11, Rows: splitRows / 2, Bytes: 10 * mib}},
		Hot:     []model.ValueSize{{Key: model.PartitionKey{Bucket: 3, Path: "type=a"}, Rows: splitRows / 2, Bytes: 10 * mib}},
		Hash:    model.ContentHash{Rows: splitRows, RowSum: 7, Columns: []model.ColumnHash{{Name: "x", Sum: 1}}},
	}
}

func writeOutput(id model.AttemptID, rows, inRows int64) model.WriteOutput {
	w := model.WriteOutput{
		Attempt: id, Manifest: model.ManifestRef{Path: "/out/_sluice/" + id.String() + ".manifest.tmp", Bytes: 1},
		Files: 1, Rows: rows, Bytes: 9 * mib, Values: 1, Sizes: make([]int64, 24), InRows: inRows,
	}
	w.Sizes[23] = 1
	if inRows > 0 {
		w.Hash = model.ContentHash{Rows: inRows, RowSum: 7}
	}
	return w
}

// describe prints actions, one a line.
func describe(actions []Action) string {
	var b strings.Builder
	for _, a := range actions {
		switch a := a.(type) {
		case Append:
			fmt.Fprintf(&b, "journal %s\n", describeEntry(a.Entry))
		case PlanJob:
			fmt.Fprintf(&b, "plan %s\n", a.Job)
		case Send:
			fmt.Fprintf(&b, "  to session %d: %s\n", a.Session, describeMessage(a.Message))
		case PublishStep:
			fmt.Fprintf(&b, "publish %s: %s manifests=%d rows=%d record=%s\n", a.Job, a.Step, len(a.Args.Manifests), a.Args.ExpectedRows, a.Args.Record.Path)
		case Submitted:
			fmt.Fprintf(&b, "submitted %s as %s\n", a.Asked, a.Job)
		case CancelAnswer:
			fmt.Fprintf(&b, "cancel %s: accepted=%v %s\n", a.Job, a.Accepted, a.Why)
		case StopPlan:
			fmt.Fprintf(&b, "stop plan %s\n", a.Job)
		case JobChanged:
			fmt.Fprintf(&b, "changed %s\n", a.Job)
		}
	}
	return b.String()
}

func describeEntry(e Entry) string {
	k := e.Kind() + " "
	switch {
	case e.JobSubmitted != nil:
		return k + string(e.JobSubmitted.Job)
	case e.PlanPart != nil:
		return fmt.Sprintf("%s%s seq=%d splits=%d schema=%d", k, e.PlanPart.Job, e.PlanPart.Seq, len(e.PlanPart.Splits), len(e.PlanPart.Schema))
	case e.JobPlanned != nil:
		return fmt.Sprintf("%s%s rows=%d", k, e.JobPlanned.Job, e.JobPlanned.InputRows)
	case e.ReducePart != nil:
		return fmt.Sprintf("%s%s ranges=%s", k, e.ReducePart.Stage, describeRanges(e.ReducePart.Ranges...))
	case e.StageStarted != nil:
		return fmt.Sprintf("%s%s %s tasks=%d", k, e.StageStarted.Stage, e.StageStarted.Kind, e.StageStarted.Tasks)
	case e.AttemptStarted != nil:
		return fmt.Sprintf("%s%s on %s threads=%d", k, e.AttemptStarted.Attempt, e.AttemptStarted.On, e.AttemptStarted.Threads)
	case e.AttemptFailed != nil:
		return fmt.Sprintf("%s%s %s: %s", k, e.AttemptFailed.Attempt, e.AttemptFailed.Failure.Reason, e.AttemptFailed.Failure.Message)
	case e.SizesPart != nil:
		return fmt.Sprintf("%s%s buckets=%d hot=%d", k, e.SizesPart.Attempt, len(e.SizesPart.Buckets), len(e.SizesPart.Hot))
	case e.MapCommitted != nil:
		return fmt.Sprintf("%s%s on %s", k, e.MapCommitted.Output.Attempt, e.MapCommitted.On)
	case e.TaskCommitted != nil:
		return fmt.Sprintf("%s%s on %s", k, e.TaskCommitted.Output.Attempt, e.TaskCommitted.On)
	case e.OutputsLost != nil:
		return fmt.Sprintf("%s%v bad=%v: %s", k, e.OutputsLost.Attempts, e.OutputsLost.Bad, e.OutputsLost.Why)
	case e.ExecutorLost != nil:
		return fmt.Sprintf("%s%s: %s", k, e.ExecutorLost.Incarnation, e.ExecutorLost.Why)
	case e.PublishMoved != nil:
		return fmt.Sprintf("%s%s %s", k, e.PublishMoved.Job, e.PublishMoved.Step)
	case e.JobStopping != nil:
		return fmt.Sprintf("%s%s as %s (%s): %s", k, e.JobStopping.Job, e.JobStopping.State, e.JobStopping.Failure.Reason, e.JobStopping.Failure.Message)
	case e.JobEnded != nil:
		return fmt.Sprintf("%s%s as %s", k, e.JobEnded.Job, e.JobEnded.State)
	}
	return k
}

func describeRanges(ranges ...model.ReduceRange) string {
	var out []string
	for _, r := range ranges {
		s := fmt.Sprintf("[%d,%d)", r.Lo, r.Hi)
		if r.Only != nil {
			s = "only " + r.Only.String()
		}
		if len(r.Except) > 0 {
			s += fmt.Sprintf(" except %v", r.Except)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func describeMessage(m Message) string {
	switch m := m.(type) {
	case Registered:
		return fmt.Sprintf("registered as %s, lease %v", m.Incarnation, m.Lease)
	case Assign:
		s := fmt.Sprintf("assign %s threads=%d", m.Assignment.Attempt, m.Assignment.Threads)
		if m.Assignment.Spec.Split != nil {
			s += fmt.Sprintf(" split %d", m.Assignment.Spec.Split.Index)
			if n := len(m.Assignment.Spec.Split.Chunks); n > 1 {
				s += fmt.Sprintf(" of %d chunks, %d rows", n, m.Assignment.Spec.Split.Rows)
			}
		}
		if m.Assignment.Spec.Range != nil {
			s += " " + describeRanges(*m.Assignment.Spec.Range) + " from"
		}
		for _, src := range m.Assignment.Sources {
			s += fmt.Sprintf(" %s@%s", src.Attempt, src.Addr)
		}
		return s
	case Revoke:
		return "revoke " + m.Attempt.String()
	case ForgetJob:
		return "forget " + string(m.Job)
	case Refused:
		return "refused: " + m.Why
	}
	return fmt.Sprintf("%T", m)
}
