// Package commit decides how the staged files of a job become its output: which publish step comes
// next, when a failed step is repeated, when everything is undone, and what a crash left behind.
//
// It touches no file. The steps are carried out elsewhere, each can be repeated, and each is durable
// before the next is asked for. For a local directory they are:
//
//	record   write the publish record: what is added, what is removed
//	rename   staged files get their names, fsynced
//	check    rows by the footers; content when asked
//	commit   put the commit object, only if absent: the commit point
//	finish   old files go, _SUCCESS comes, the record goes, then the commit object
//	cleanup  staging and claim go, and a record or commit object that is left
//
// The record goes before the commit object: a record without a commit object is a publish before its
// commit point, which is undone.
//
// Before the commit point the output is the old data and everything can be undone; from it on the
// output is the new data and there is only forward:
//
//	begin ─ record ─ rename ─ check ─ commit ─ finish ─ cleanup ─ succeeded
//	  │       └────────┴────────┴─ undo ┐
//	  └─────────── stop ────────────────┴───────────── cleanup ─ stopped
package commit

import (
	"fmt"
	"time"
)

// Step is a publish step.
type Step string

// The steps; the package comment says what each does.
const (
	Record  Step = "record"
	Rename  Step = "rename"
	Check   Step = "check"
	Commit  Step = "commit"
	Finish  Step = "finish"
	Undo    Step = "undo"
	Cleanup Step = "cleanup"
)

// Event is a fact about a publication.
type Event interface{ event() }

// Begin starts publishing: every task is committed.
type Begin struct{}

// Stop says that the job ends without its output: it was cancelled, or failed. It is an error after
// the commit point; ask TooLate before it is sent.
type Stop struct{}

// Done says that a step succeeded. Committed is of Undo only: the commit object was there, so
// nothing was undone.
type Done struct {
	Step      Step
	Committed bool
}

// Failed says that a step failed; what it did stays as it is.
type Failed struct {
	Step      Step
	Retryable bool // the same step may succeed later
}

// Restarted says that the process which carried the steps out is gone: nothing is under way.
type Restarted struct{}

// Tick lets time pass.
type Tick struct{}

func (Begin) event()     {}
func (Stop) event()      {}
func (Done) event()      {}
func (Failed) event()    {}
func (Restarted) event() {}
func (Tick) event()      {}

// Verdict is what an event leads to.
type Verdict uint8

// The verdicts.
const (
	Wait      Verdict = iota // a step is under way, or is tried again at Deadline
	Do                       // carry out Action.Step
	GiveUp                   // a step before the commit point cannot be done: the caller sends Stop
	Succeeded                // published, and cleaned up
	Stopped                  // not published, and cleaned up
	Stuck                    // after the commit point Finish failed too often: the record stays for a later recovery
)

// Action is a verdict and the step that it is about.
type Action struct {
	Verdict Verdict
	Step    Step
}

// Limits on repeating a failed step. The pause doubles from minPause to maxPause.
const (
	maxTries   = 4  // before the commit point, and of Undo and Cleanup
	maxForward = 12 // of Finish, which cannot be undone: about four minutes
	minPause   = 250 * time.Millisecond
	maxPause   = 30 * time.Second
)

// Publication is the state of one publish. The zero value is one that has not begun.
//
// What Begin, Stop and Done bring is durable: the caller journals it and replays it. What Failed
// and Tick bring is not; after Restarted a step has all its tries again.
type Publication struct {
	begun    bool
	stopping bool
	reached  Step // last step that is done, "" for none; never Undo after which Committed was told
	underway Step
	tries    int // of the step that comes next
	retryAt  time.Time
}

// TooLate reports whether the publish cannot be stopped any more: it is past its commit point, or
// on its way through it.
func (p *Publication) TooLate() bool { return p.underway == Commit || p.Committed() }

// Committed reports whether the commit point is known to be passed.
func (p *Publication) Committed() bool {
	return p.reached == Commit || p.reached == Finish || (p.reached == Cleanup && !p.stopping)
}

// Reached is the last step that is done, "" for none.
func (p *Publication) Reached() Step { return p.reached }

// Underway is the step that was asked for and not answered, "" for none.
func (p *Publication) Underway() Step { return p.underway }

// Next is the step that comes next, "" when there is none: nothing has begun, or all is done.
func (p *Publication) Next() Step {
	if !p.begun && !p.stopping {
		return ""
	}
	if p.stopping {
		switch p.reached {
		case "":
			// Renaming starts only after the record is known to be written, so no file has its name yet.
			return Cleanup
		case Record, Rename, Check:
			return Undo
		}
	}
	return p.forward()
}

// forward is the step after the one that was reached, were the publication not stopped.
func (p *Publication) forward() Step {
	switch p.reached {
	case "":
		return Record
	case Record:
		return Rename
	case Rename:
		return Check
	case Check:
		return Commit
	case Commit:
		return Finish
	case Finish, Undo:
		return Cleanup
	}
	return ""
}

// Deadline returns when a failed step is tried again.
func (p *Publication) Deadline() (time.Time, bool) {
	return p.retryAt, p.underway == "" && !p.retryAt.IsZero()
}

// Step takes in an event and says what to do. A Done or Failed of a step that is not the next one is
// an error and changes nothing: an answer from before a restart, or a mistake.
func (p *Publication) Step(now time.Time, e Event) (Action, error) {
	switch e := e.(type) {
	case Begin:
		p.begun = true
	case Stop:
		if p.Committed() {
			return Action{}, fmt.Errorf("publish cannot be stopped at step %q: the commit point is passed", p.Next())
		}
		p.stopping, p.tries, p.retryAt = true, 0, time.Time{}
	case Restarted:
		p.underway, p.tries, p.retryAt = "", 0, time.Time{}
	case Done:
		if err := p.done(e); err != nil {
			return Action{}, err
		}
	case Failed:
		return p.failed(now, e)
	case Tick:
	}
	return p.next(now), nil
}

func (p *Publication) done(e Done) error {
	// A publication that was stopped while a step ran hears of that step later, on replay without
	// having asked for it.
	late := p.begun && e.Step == p.forward()
	if e.Step == "" || e.Step != p.underway && e.Step != p.Next() && !late {
		return fmt.Errorf("publish step %q is done, but the next one is %q", e.Step, p.Next())
	}
	p.underway, p.tries, p.retryAt = "", 0, time.Time{}
	p.reached = e.Step
	if e.Step == Undo && e.Committed {
		p.reached = Commit
	}
	if p.reached == Commit {
		p.stopping = false
	}
	return nil
}

func (p *Publication) failed(now time.Time, e Failed) (Action, error) {
	if e.Step != p.underway {
		return Action{}, fmt.Errorf("publish step %q failed, but %q is under way", e.Step, p.underway)
	}
	p.underway, p.retryAt = "", time.Time{}
	p.tries++
	if p.stopping && e.Step != Undo && e.Step != Cleanup {
		p.tries = 0
		return p.next(now), nil // it was stopped while the step ran; what comes next is another step
	}
	switch e.Step {
	case Finish:
		if p.tries >= maxForward {
			return Action{Verdict: Stuck, Step: Finish}, nil
		}
	case Cleanup, Undo:
		if p.tries >= maxTries {
			// What is left is found by its record and claim; the outcome stands.
			return p.skip(e.Step, now), nil
		}
	default:
		if !e.Retryable || p.tries >= maxTries {
			return Action{Verdict: GiveUp, Step: e.Step}, nil
		}
	}
	p.retryAt = now.Add(min(minPause<<min(p.tries-1, 16), maxPause))
	return Action{Verdict: Wait, Step: e.Step}, nil
}

// skip ends a publication whose last steps cannot be done. An Undo that cannot be done leaves its
// record in place, so that the next start there, or gc, undoes it: Cleanup must not run then.
func (p *Publication) skip(s Step, now time.Time) Action {
	if s == Undo {
		return Action{Verdict: Stuck, Step: Undo}
	}
	p.reached, p.retryAt = Cleanup, time.Time{}
	return p.next(now)
}

// next asks for the step that comes next unless one is under way or has to wait.
func (p *Publication) next(now time.Time) Action {
	if p.underway != "" {
		return Action{Verdict: Wait, Step: p.underway}
	}
	s := p.Next()
	switch {
	case s == "" && p.reached == Cleanup && p.stopping:
		return Action{Verdict: Stopped}
	case s == "" && p.reached == Cleanup:
		return Action{Verdict: Succeeded}
	case s == "" || p.retryAt.After(now):
		return Action{Verdict: Wait, Step: s}
	}
	p.underway = s
	return Action{Verdict: Do, Step: s}
}

func (p *Publication) String() string {
	return fmt.Sprintf("begun=%v stopping=%v reached=%q", p.begun, p.stopping, p.reached)
}
