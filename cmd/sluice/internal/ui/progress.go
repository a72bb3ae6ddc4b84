package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// The values of --progress.
const (
	ProgressAuto  = "auto"
	ProgressPlain = "plain"
	ProgressJSON  = "json"
	ProgressNone  = "none"
)

// Progress shows how far something is. Its methods are called by one goroutine at a time.
type Progress interface {
	Update(Snapshot)
	// Close takes away what should not stay on the terminal. Nothing else may be printed before.
	Close()
}

// Snapshot is how far something is at one moment.
type Snapshot struct {
	What   string // a job's id, or the verb
	State  string
	Detail string // what it waits for
	Ended  bool
	Lanes  []Lane // stages in their order
}

// Lane is one stage.
type Lane struct {
	Name     string `json:"stage"`
	Unit     string `json:"-"` // what Tasks counts
	Tasks    int    `json:"tasks"`
	Done     int    `json:"done"`
	Running  int    `json:"running"`
	Rows     int64  `json:"rows"`
	RowsGoal int64  `json:"rows_goal"`
	Bytes    int64  `json:"bytes"`
	Files    int64  `json:"files"`
}

func (l Lane) active() bool { return l.Running > 0 || l.Done > 0 || l.Rows > 0 }
func (l Lane) ended() bool  { return l.Tasks > 0 && l.Done >= l.Tasks }

// count is how many of the lane's tasks are done.
func (l Lane) count() string {
	if l.Tasks == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d %s", l.Done, l.Tasks, l.Unit)
}

// fraction is how much of the lane is done, by rows where their number is known.
func (l Lane) fraction() float64 {
	switch {
	case l.ended():
		return 1
	case l.RowsGoal > 0:
		return min(float64(l.Rows)/float64(l.RowsGoal), 1)
	case l.Tasks > 0:
		return float64(l.Done) / float64(l.Tasks)
	}
	return 0
}

// Of makes a snapshot of a job.
func Of(st model.JobStatus) Snapshot {
	s := Snapshot{What: string(st.Job), State: string(st.State), Detail: st.Detail, Ended: st.State.Terminal()}
	for _, g := range st.Stages {
		s.Lanes = append(s.Lanes, Lane{
			Name: string(g.Kind), Unit: "tasks", Tasks: g.Tasks, Done: g.Done, Running: g.Running,
			Rows: g.Rows, RowsGoal: g.RowsGoal, Bytes: g.Bytes, Files: g.Files,
		})
	}
	return s
}

// NewProgress makes what --progress asks for.
func NewProgress(kind string, c *Console) (Progress, error) {
	clock := newClock(c.Now)
	if kind == ProgressAuto {
		kind = ProgressPlain
		if c.terminal {
			return &bars{console: c, clock: clock}, nil
		}
	}
	switch kind {
	case ProgressPlain:
		return &plain{out: c, clock: clock}, nil
	case ProgressJSON:
		return &jsonLines{out: c, clock: clock}, nil
	case ProgressNone:
		return nothing{}, nil
	}
	return nil, fmt.Errorf("%q: want auto, plain, json or none", kind)
}

type nothing struct{}

func (nothing) Update(Snapshot) {}
func (nothing) Close()          {}

// clock knows since when each lane works, which its rate and its end are reckoned from.
type clock struct {
	now    func() time.Time
	start  time.Time
	began  map[string]time.Time
	closed map[string]time.Time
}

func newClock(now func() time.Time) *clock {
	return &clock{now: now, start: now(), began: map[string]time.Time{}, closed: map[string]time.Time{}}
}

// see books when lanes begin and end.
func (c *clock) see(s Snapshot) {
	now := c.now()
	for _, l := range s.Lanes {
		if _, ok := c.began[l.Name]; !ok && l.active() {
			c.began[l.Name] = now
		}
		if _, ok := c.closed[l.Name]; !ok && l.ended() {
			c.closed[l.Name] = now
		}
		if !l.ended() {
			delete(c.closed, l.Name) // lost outputs are made again
		}
	}
}

func (c *clock) elapsed() time.Duration { return c.now().Sub(c.start) }

// worked is how long a lane has worked.
func (c *clock) worked(l Lane) time.Duration {
	began, ok := c.began[l.Name]
	if !ok {
		return 0
	}
	if end, ok := c.closed[l.Name]; ok {
		return end.Sub(began)
	}
	return c.now().Sub(began)
}

// left guesses how long a lane still needs; nothing is said in its first second, or before a
// fiftieth is done.
func (c *clock) left(l Lane) (time.Duration, bool) {
	f := l.fraction()
	if f < 0.02 || f >= 1 || c.worked(l) < time.Second {
		return 0, false
	}
	return time.Duration(float64(c.worked(l)) * (1 - f) / f), true
}

// figures are the words about a lane, of which a bar and a plain line are made.
func (c *clock) figures(l Lane) string {
	var parts []string
	if l.RowsGoal > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s rows", Count(l.Rows), Count(l.RowsGoal)))
	} else if l.Rows > 0 {
		parts = append(parts, Count(l.Rows)+" rows")
	}
	if r := perSecond(l.Bytes, c.worked(l)); r > 0 {
		parts = append(parts, fmt.Sprintf("%.1f MB/s", float64(r)/1e6))
	}
	if l.Files > 0 {
		parts = append(parts, counted(l.Files, "file"))
	}
	if left, ok := c.left(l); ok {
		parts = append(parts, "ETA "+Seconds(left))
	}
	return strings.Join(parts, ", ")
}

// plainFirst keeps short jobs quiet, plainEvery keeps long ones readable in a log.
const (
	plainFirst = 2 * time.Second
	plainEvery = 5 * time.Second
)

// plain prints a line now and then, for logs and pipes.
type plain struct {
	out   *Console
	clock *clock
	last  time.Time
	said  Snapshot
}

func (p *plain) Update(s Snapshot) {
	p.clock.see(s)
	now := p.clock.now()
	if p.clock.elapsed() < plainFirst || s.Ended || same(s, p.said) || now.Sub(p.last) < plainEvery && s.State == p.said.State {
		return
	}
	p.last, p.said = now, s
	p.out.Line("%s", p.line(s))
}

func (p *plain) Close() {}

// line shows the lanes that are at work; those that wait say nothing.
func (p *plain) line(s Snapshot) string {
	b := s.State
	if s.Detail != "" {
		b += " (" + s.Detail + ")"
	}
	for _, l := range s.Lanes {
		if !l.active() || l.ended() && s.State == string(model.JobPublishing) {
			continue
		}
		b += "  " + l.Name
		sep := " "
		if l.Tasks > 0 {
			b += " " + l.count()
			sep = ", "
		}
		if f := p.clock.figures(l); f != "" && !l.ended() {
			b += sep + f
		}
	}
	return b
}

func same(a, b Snapshot) bool {
	return a.State == b.State && a.Detail == b.Detail && slices.Equal(a.Lanes, b.Lanes)
}

// jsonEvery is how often a program that reads progress gets a line while the state stays.
const jsonEvery = time.Second

// jsonLines prints one JSON object per line.
type jsonLines struct {
	out   *Console
	clock *clock
	last  time.Time
	said  Snapshot
}

func (p *jsonLines) Update(s Snapshot) {
	p.clock.see(s)
	now := p.clock.now()
	if same(s, p.said) || now.Sub(p.last) < jsonEvery && s.State == p.said.State {
		return
	}
	p.last, p.said = now, s
	line := struct {
		Time    time.Time `json:"time"`
		What    string    `json:"id"`
		State   string    `json:"state"`
		Detail  string    `json:"detail,omitempty"`
		Elapsed float64   `json:"elapsed_seconds"`
		Lanes   []Lane    `json:"stages"`
	}{now, s.What, s.State, s.Detail, p.clock.elapsed().Seconds(), append([]Lane{}, s.Lanes...)}
	writeLine(p.out, line)
}

func (p *jsonLines) Close() {}
