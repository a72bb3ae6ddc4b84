package ui

import (
	"io"
	"strings"

	"github.com/sluice-engine/sluice/plan"
)

// Plan shows what a job would do.
func Plan(w io.Writer, e plan.Explanation) error {
	p := &printer{w: w}
	p.line("%s -> %s", strings.Join(e.Input, " "), e.Out)
	p.line("%s, %s execution, codec %s", e.Partitioning, e.Execution, e.Codec)
	t := columns("", ">", "", "")
	figure := func(name string, f plan.Figure, show func(int64) string, note string) {
		t.AppendRow([]any{name, show(f.Value), kind(f.Kind), note})
	}
	figure("files in", e.FilesIn, Count, "")
	figure("rows in", e.RowsIn, Count, "")
	figure("bytes in", e.BytesIn, Size, "")
	note := ""
	if e.Splits.Value > 0 {
		note = "the largest reads " + Size(e.LargestSplit.Value)
	}
	figure("map tasks", e.Splits, Count, note)
	for _, v := range e.Values {
		k := plan.Exact
		if !v.Exact {
			k = plan.Estimate
		}
		figure("values of "+v.Column, plan.Figure{Value: v.Distinct, Kind: k}, Count, "")
	}
	figure("partitions", e.Partitions, Count, "")
	figure("shuffled bytes", e.ShuffleBytes, Size, "")
	figure("write tasks", e.WriteTasks, Count, "")
	figure("files out", e.FilesOut, Count, Size(e.FileBytes.Value)+" each on average")
	figure("bytes out", e.BytesOut, Size, "")
	p.table(t.Render())
	for _, warning := range e.Warnings {
		p.line("\nwarning: %s", warning.Text)
		if warning.Better != "" {
			p.line("better:  %s", warning.Better)
		}
	}
	return p.err
}

func kind(k plan.Kind) string {
	if k == plan.UpperBound {
		return "at most"
	}
	return string(k)
}
