package ui

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// player shows the states of a job at given times to a Progress.
type player struct {
	out bytes.Buffer
	now time.Time
	p   Progress
}

func newPlayer(t *testing.T, kind string, terminal bool) *player {
	t.Helper()
	pl := &player{now: begin}
	c := NewConsole(&pl.out, terminal)
	c.Now = func() time.Time { return pl.now }
	var err error
	if pl.p, err = NewProgress(kind, c); err != nil {
		t.Fatal(err)
	}
	return pl
}

func (pl *player) at(d time.Duration, st model.JobStatus) {
	pl.now = begin.Add(d)
	pl.p.Update(Of(st))
}

func status(state model.JobState, stages ...model.StageStatus) model.JobStatus {
	return model.JobStatus{Job: "20210828-120000-0a1b2c3d", State: state, Stages: stages}
}

func mapping(done int, rows int64) model.StageStatus {
	return model.StageStatus{Kind: model.TaskMap, Tasks: 4, Done: done, Running: 1, Rows: rows, RowsGoal: 1000, Bytes: rows * 1e6}
}

func reducing(done int, rows int64) model.StageStatus {
	return model.StageStatus{Stage: 1, Kind: model.TaskReduce, Tasks: 2, Done: done, Rows: rows, RowsGoal: 1000, Bytes: rows * 1e6, Files: rows / 100}
}

func playJob(pl *player) {
	pl.at(0, status(model.JobPlanning))
	pl.at(1*time.Second, status(model.JobRunning, mapping(0, 1), reducing(0, 0)))
	pl.at(2*time.Second, status(model.JobRunning, mapping(1, 250), reducing(0, 0)))
	pl.at(3*time.Second, status(model.JobRunning, mapping(2, 500), reducing(0, 0)))
	pl.at(8*time.Second, status(model.JobRunning, mapping(2, 500), reducing(0, 0)))
	pl.at(14*time.Second, status(model.JobRunning, mapping(2, 500), reducing(0, 0))) // nothing changed
	pl.at(20*time.Second, status(model.JobRunning, mapping(4, 1000), reducing(1, 600)))
	st := status(model.JobPublishing, mapping(4, 1000), reducing(2, 1000))
	st.Detail = "rename"
	pl.at(21*time.Second, st)
	pl.at(22*time.Second, status(model.JobSucceeded, mapping(4, 1000), reducing(2, 1000)))
	pl.p.Close()
}

func TestPlainProgress(t *testing.T) {
	pl := newPlayer(t, ProgressAuto, false)
	playJob(pl)
	want := `running  map 1/4 tasks, 250 of 1,000 rows, 250.0 MB/s, ETA 3 s
running  map 2/4 tasks, 500 of 1,000 rows, 71.4 MB/s, ETA 7 s
running  map 4/4 tasks  reduce 1/2 tasks, 600 of 1,000 rows, 6 files
publishing (rename)
`
	if pl.out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", pl.out.String(), want)
	}
}

func TestPlainProgressOfAShortJobSaysNothing(t *testing.T) {
	pl := newPlayer(t, ProgressPlain, false)
	pl.at(0, status(model.JobPlanning))
	pl.at(time.Second, status(model.JobRunning, mapping(1, 100)))
	pl.at(1900*time.Millisecond, status(model.JobPublishing, mapping(4, 1000)))
	pl.at(2500*time.Millisecond, status(model.JobSucceeded, mapping(4, 1000)))
	pl.p.Close()
	if pl.out.Len() != 0 {
		t.Errorf("got %q", pl.out.String())
	}
}

func TestJSONProgress(t *testing.T) {
	pl := newPlayer(t, ProgressJSON, true)
	playJob(pl)
	var states []string
	for line := range strings.Lines(pl.out.String()) {
		var got struct {
			ID      string           `json:"id"`
			State   string           `json:"state"`
			Elapsed float64          `json:"elapsed_seconds"`
			Stages  []map[string]any `json:"stages"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got.ID != "20210828-120000-0a1b2c3d" || got.Stages == nil {
			t.Errorf("%s", line)
		}
		states = append(states, got.State)
	}
	want := "planning running running running running publishing succeeded"
	if got := strings.Join(states, " "); got != want {
		t.Errorf("got %s, want %s\n%s", got, want, pl.out.String())
	}
}

func TestNoProgress(t *testing.T) {
	pl := newPlayer(t, ProgressNone, true)
	playJob(pl)
	if pl.out.Len() != 0 {
		t.Errorf("got %q", pl.out.String())
	}
	if _, err := NewProgress("fancy", NewConsole(&pl.out, false)); err == nil {
		t.Error("want an error for an unknown kind")
	}
}

func TestBarsLetLogLinesThrough(t *testing.T) {
	pl := newPlayer(t, ProgressAuto, true)
	b, ok := pl.p.(*bars)
	if !ok {
		t.Fatalf("got %T on a terminal", pl.p)
	}
	pl.at(time.Millisecond, status(model.JobRunning, mapping(0, 1)))
	if b.box != nil {
		t.Fatal("a job that has just begun shows no bar")
	}
	pl.at(time.Second, status(model.JobRunning, mapping(1, 250), reducing(0, 0)))
	if b.box == nil || len(b.lanes) != 2 {
		t.Fatalf("want two bars, got %d", len(b.lanes))
	}
	if got := load(&b.lanes[0].count); got != "1/4 tasks" {
		t.Errorf("got %q", got)
	}
	if _, err := b.console.Write([]byte("a line of the log\n")); err != nil {
		t.Fatal(err)
	}
	// A stage whose outputs were lost goes back.
	pl.at(2*time.Second, status(model.JobRunning, mapping(4, 1000), reducing(0, 0)))
	pl.at(3*time.Second, status(model.JobRunning, mapping(3, 750), reducing(0, 0)))
	if got := b.lanes[0].bar.Current(); got != 750 {
		t.Errorf("the bar stands at %d of %d, want 750", got, barSteps)
	}
	pl.p.Close()
	if !strings.Contains(pl.out.String(), "a line of the log\n") {
		t.Errorf("the line is lost: %q", pl.out.String())
	}
	if _, err := b.console.Write([]byte("after\n")); err != nil || !strings.HasSuffix(pl.out.String(), "after\n") {
		t.Errorf("lines after Close go to the terminal: %v, %q", err, pl.out.String())
	}
}
