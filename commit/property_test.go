package commit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// directory is an output directory as sets of names. Its steps are made of operations that a crash
// can fall between; each step can be repeated.
type directory struct {
	files   map[string]bool // data files: old0…, new0…
	staged  map[string]bool
	record  bool // lists what is added and what is removed
	commit  bool
	success bool

	old, added []string
	budget     int // operations until the crash; negative: none
}

var errCrash = errors.New("crash")

func newDirectory(numOld, numNew int) *directory {
	d := &directory{files: map[string]bool{}, staged: map[string]bool{}, budget: -1}
	for i := range numOld {
		d.old = append(d.old, fmt.Sprint("old", i))
		d.files[d.old[i]] = true
	}
	for i := range numNew {
		d.added = append(d.added, fmt.Sprint("new", i))
		d.staged[d.added[i]] = true
	}
	return d
}

// op is one durable operation.
func (d *directory) op(f func()) error {
	if d.budget == 0 {
		return errCrash
	}
	d.budget--
	f()
	return nil
}

func (d *directory) each(names []string, f func(string)) error {
	for _, n := range names {
		if err := d.op(func() { f(n) }); err != nil {
			return err
		}
	}
	return nil
}

// carryOut does one step. Undo answers whether it found the commit object.
func (d *directory) carryOut(s Step) (committed bool, err error) {
	switch s {
	case Record:
		return false, d.op(func() { d.record = true })
	case Rename:
		return false, d.each(d.added, func(n string) {
			if d.staged[n] {
				delete(d.staged, n)
				d.files[n] = true
			}
		})
	case Check:
		for _, n := range d.added {
			if !d.files[n] {
				return false, fmt.Errorf("%s is missing", n)
			}
		}
		return false, nil
	case Commit:
		return false, d.op(func() { d.commit = true })
	case Finish:
		err = d.each(d.old, func(n string) { delete(d.files, n) })
		for _, f := range []func(){func() { d.success = true }, func() { d.record = false }, func() { d.commit = false }} {
			if err == nil {
				err = d.op(f)
			}
		}
		return false, err
	case Undo:
		if d.commit {
			return true, nil
		}
		return false, d.each(d.added, func(n string) { delete(d.files, n) })
	case Cleanup:
		err = d.op(func() { d.record = false })
		for _, f := range []func(){func() { d.commit = false }, func() { clear(d.staged) }} {
			if err == nil {
				err = d.op(f)
			}
		}
		return false, err
	}
	return false, fmt.Errorf("unknown step %q", s)
}

// view is what Sluice as a reader sees: a listing less `add` before the commit and `remove` after it.
func (d *directory) view() []string {
	seen := maps.Clone(d.files)
	hide := d.added
	if d.commit {
		hide = d.old
	}
	if d.record {
		for _, n := range hide {
			delete(seen, n)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func (d *directory) checkView(t *rapid.T) {
	if v := d.view(); !slices.Equal(v, d.old) && !slices.Equal(v, d.added) {
		t.Fatalf("a reader sees a mixture: %v (record=%v commit=%v)", v, d.record, d.commit)
	}
}

func (d *directory) facts() Facts {
	f := Facts{Record: d.record, Commit: d.commit, Files: len(d.added)}
	for _, n := range d.added {
		if d.staged[n] {
			f.Staged++
		}
		if d.files[n] {
			f.Placed++
		}
	}
	return f
}

// TestFromEveryCrashOldOrNew crashes after any operation, any number of times, with stops and failing steps
// in between. A publication with its journal, and a recovery without one, both end in the old data or
// the new, and in between no reader sees a mixture.
func TestFromEveryCrashOldOrNew(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDirectory(rapid.IntRange(0, 4).Draw(rt, "old"), rapid.IntRange(0, 4).Draw(rt, "new"))
		var journal []Event // durable facts
		journal = append(journal, Begin{})
		now := time.Unix(0, 0)
		outcome := Wait
		for life := 0; outcome == Wait; life++ {
			d.budget = -1
			if life < 5 {
				d.budget = rapid.IntRange(0, 20).Draw(rt, "operations until the crash")
			}
			p := replayed(rt, now, journal)
			a, err := p.Step(now, Restarted{})
			for err == nil && outcome == Wait {
				d.checkView(rt)
				a, err = live(rt, d, p, &journal, &now, a, life < 5)
				switch a.Verdict {
				case Succeeded, Stopped:
					outcome = a.Verdict
				case Stuck: // steps failed too often; whoever starts there next ends it
					recoverWithoutJournal(rt, d, false)
					return
				}
			}
			if err != nil && !errors.Is(err, errCrash) {
				rt.Fatal(err)
			}
			if life < 5 && outcome == Wait && rapid.IntRange(0, 3).Draw(rt, "journal lost") == 0 {
				recoverWithoutJournal(rt, d, rapid.Bool().Draw(rt, "wanted"))
				return
			}
		}
		want := d.old
		if outcome == Succeeded {
			want = d.added
		}
		checkEnd(rt, d, want, outcome == Succeeded)
	})
}

func replayed(rt *rapid.T, now time.Time, journal []Event) *Publication {
	var p Publication
	for _, e := range journal {
		if _, err := p.Step(now, e); err != nil {
			rt.Fatalf("replay of %+v in %v: %v", e, journal, err)
		}
	}
	return &p
}

// live carries out one verdict and feeds the answer. What is durable is journaled first, as a caller
// does; a crash may fall between the operation and its entry.
func live(rt *rapid.T, d *directory, p *Publication, journal *[]Event, now *time.Time, a Action, faults bool) (Action, error) {
	durable := func(e Event) (Action, error) {
		if err := d.op(func() {}); err != nil {
			return Action{}, err
		}
		*journal = append(*journal, e)
		return p.Step(*now, e)
	}
	switch a.Verdict {
	case Wait:
		*now = now.Add(time.Hour)
		return p.Step(*now, Tick{})
	case GiveUp:
		return durable(Stop{})
	case Do:
		if faults && !p.TooLate() && rapid.IntRange(0, 9).Draw(rt, "stop") == 0 {
			if _, err := durable(Stop{}); err != nil {
				return Action{}, err
			}
		}
		committed, err := d.carryOut(a.Step)
		if errors.Is(err, errCrash) {
			return Action{}, err
		}
		if err != nil || faults && rapid.IntRange(0, 5).Draw(rt, "fail") == 0 {
			return p.Step(*now, Failed{Step: a.Step, Retryable: err == nil})
		}
		return durable(Done{Step: a.Step, Committed: committed})
	}
	return a, nil
}

// recoverWithoutJournal ends a dead publish by what the directory shows, crashing now and then.
func recoverWithoutJournal(rt *rapid.T, d *directory, wanted bool) {
	for i := 0; ; i++ {
		d.checkView(rt)
		d.budget = -1
		if i < 3 {
			d.budget = rapid.IntRange(0, 8).Draw(rt, "operations until the next crash")
		}
		var steps []Step
		switch Recover(d.facts(), wanted) {
		case RecoverForward:
			steps = []Step{Rename, Check, Commit, Finish}
		case RecoverFinish:
			steps = []Step{Finish}
		case RecoverUndo:
			steps = []Step{Undo}
		}
		var err error
		for _, s := range append(steps, Cleanup) {
			if _, err = d.carryOut(s); err != nil {
				break
			}
			d.checkView(rt)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			rt.Fatal(err)
		}
	}
	want := d.old
	if d.success {
		want = d.added
	}
	checkEnd(rt, d, want, d.success)
}

func checkEnd(rt *rapid.T, d *directory, want []string, success bool) {
	if got := slices.Sorted(maps.Keys(d.files)); !slices.Equal(got, want) {
		rt.Fatalf("the output holds %v, want %v", got, want)
	}
	if d.record || d.commit || len(d.staged) > 0 || d.success != success {
		rt.Fatalf("left behind: record=%v commit=%v staged=%v _SUCCESS=%v", d.record, d.commit, d.staged, d.success)
	}
}

func TestRecover(t *testing.T) {
	for _, c := range []struct {
		f      Facts
		wanted bool
		want   Recovery
	}{
		{Facts{}, true, RecoverNothing},
		{Facts{Commit: true}, true, RecoverNothing},
		{Facts{Record: true, Commit: true, Files: 2, Placed: 2}, false, RecoverFinish},
		{Facts{Record: true, Files: 2, Staged: 1, Placed: 1}, true, RecoverForward},
		{Facts{Record: true, Files: 2, Staged: 1, Placed: 1}, false, RecoverUndo},
		{Facts{Record: true, Files: 2, Placed: 1}, true, RecoverUndo},
	} {
		if got := Recover(c.f, c.wanted); got != c.want {
			t.Errorf("Recover(%+v, %v) = %v, want %v", c.f, c.wanted, got, c.want)
		}
	}
}
