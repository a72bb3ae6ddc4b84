package core

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-engine/sluice/model"
)

// Dump writes the durable state in a canonical form, for people and for the test that a replay of the
// journal gives the state that wrote it. Sessions, leases and progress are not in it.
func (c *Core) Dump(w io.Writer) error {
	var b strings.Builder
	for _, j := range c.order {
		j.dump(&b)
	}
	if err := c.sched.Dump(&b); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (j *job) dump(b *strings.Builder) {
	fmt.Fprintf(b, "job %s %s %s submitted=%s running=%s started=%s ended=%s\n", j.id, j.uuid, j.state,
		text(j.submitted), text(j.running), text(j.started), text(j.ended))
	fmt.Fprintf(b, "  spec %s\n  conf %s\n  splits %s\n  old %s\n", text(j.spec), text(j.conf), text(j.splits), text(j.old))
	fmt.Fprintf(b, "  input files=%d rows=%d bytes=%d retries=%d\n", j.inFiles, j.inRows, j.inBytes, j.retries)
	fmt.Fprintf(b, "  parts %d %s %s %d\n", j.parts.seq, text(j.parts.splits), text(j.parts.old), len(j.parts.schema))
	if j.stopping != nil {
		fmt.Fprintf(b, "  stopping %s\n", text(j.stopping))
	}
	if j.state == model.JobPublishing || j.stopping != nil {
		fmt.Fprintf(b, "  publish %s %s\n", &j.pub, text(j.published))
	}
	if j.state.Terminal() {
		fmt.Fprintf(b, "  final %s\n  receipt %s\n  failure %s\n", text(j.final), text(j.receipt), text(j.failure))
	}
	for n, st := range j.stages {
		fmt.Fprintf(b, "  stage %d %s fixed=%v seq=%d rows=%d bytes=%d files=%d counts=%+v\n",
			n, st.kind, st.fixed, st.seq, st.rows, st.bytes, st.files, st.counts)
		fmt.Fprintf(b, "    ranges %s\n    buckets %s\n    hot %s\n", text(st.ranges), text(st.sizes.Buckets()), text(st.sizes.Hot()))
		for i := range st.tasks {
			st.tasks[i].dump(b, i)
		}
	}
}

func (t *taskResult) dump(b *strings.Builder, i int) {
	fmt.Fprintf(b, "    task %d sized=%v current=%d write=%s\n", i, t.sized, t.current, text(t.write))
	for _, r := range t.outputs {
		fmt.Fprintf(b, "      output at %s bad=%v %s\n", r.holder, r.bad, text(r.output))
	}
}

// text encodes a value of the model. Entries are JSON as well, so what survives a replay is in it.
func text(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v (%v)", v, err)
	}
	return string(out)
}
