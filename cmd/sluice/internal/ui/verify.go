package ui

import (
	"io"
	"strings"

	"github.com/sluice-engine/sluice/dataset/verify"
)

// Verify shows a comparison: one line when the sides are equal, else where they differ.
func Verify(w io.Writer, r *verify.Result) error {
	p := &printer{w: w}
	if r.Equal {
		p.line("equal: %s, %s, content hash %s", counted(r.A.Hash.Rows, "row"), counted(int64(len(r.Columns)), "column"), r.A.Hash.RowSum)
		return p.err
	}
	t := columns("", ">a", ">b", "")
	row := func(name, a, b string, equal bool) {
		mark := "differ"
		if equal {
			mark = "equal"
		}
		t.AppendRow([]any{name, a, b, mark})
	}
	p.line("a  %s, %s\nb  %s, %s", r.A.Path, counted(int64(r.A.Files), "file"), r.B.Path, counted(int64(r.B.Files), "file"))
	row("rows", Count(r.A.Hash.Rows), Count(r.B.Hash.Rows), r.A.Hash.Rows == r.B.Hash.Rows)
	row("whole rows", r.A.Hash.RowSum.String(), r.B.Hash.RowSum.String(), r.A.Hash.RowSum == r.B.Hash.RowSum)
	for _, c := range r.Columns {
		row("column "+c.Name, c.A.String(), c.B.String(), c.Equal)
	}
	p.table(t.Render())
	for i, only := range [][]string{r.OnlyA, r.OnlyB} {
		if len(only) > 0 {
			p.line("  only in %c: %s", 'a'+i, strings.Join(only, ", "))
		}
	}
	if r.Swapped {
		p.line("  every column holds the same values, but not in the same rows")
	}
	return p.err
}
