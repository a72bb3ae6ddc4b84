package scheduler

import (
	"fmt"
	"io"
)

// Dump writes the durable state in a canonical form: two schedulers that were told the same facts
// dump the same text, also when one of them was told by a replay and knows no executor's resources.
func (s *Scheduler) Dump(w io.Writer) error {
	d := dumper{w: w}
	for _, j := range s.jobs {
		d.printf("job %s stages=%d/%d\n", j.id, len(j.stages), len(j.shapes))
		if j.doomed != nil {
			d.printf("  doomed by %s on %s: %s\n", j.doomed.Task, j.doomed.On, j.doomed.Failure.Message)
		}
		for _, st := range j.stages {
			d.printf("  stage %s %s missing=%d running=%d failed=%d lost=%d pending=%v\n",
				st.id, st.kind, st.missing, st.running, st.failed, st.lost, st.pending)
			for i := range st.tasks {
				d.task(st, i)
			}
		}
	}
	return d.err
}

type dumper struct {
	w   io.Writer
	err error
}

func (d *dumper) printf(format string, a ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, a...)
	}
}

func (d *dumper) task(st *stage, i int) {
	t := &st.tasks[i]
	d.printf("    task %d weight=%d failures=%d", i, t.weight, t.failures)
	if t.committed >= 0 {
		d.printf(" result=%d at %s", t.committed, t.holder)
	}
	if len(t.avoid) > 0 {
		d.printf(" avoid=%v not before %s", t.avoid, t.notBefore.UTC().Format("15:04:05.000"))
	}
	for n, a := range t.attempts {
		d.printf(" | %d on %s x%d %s", n, a.on, a.threads, a.state)
	}
	d.printf("\n")
}
