package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/dataset/verify"
)

func (a *app) newVerify() *cobra.Command {
	var r resources
	var progress string
	c := &cobra.Command{
		Use: "verify A B [flags]", Short: "Compare two datasets by content", GroupID: groupJobs, Args: exactArgs("A", "B"),
		Long: `Reads two datasets, each a directory or a file, and compares the number of rows, a hash of each
column, and a hash over whole rows. The order of rows and their division into files do not count;
Hive directories such as type=appOpen are a column. Exit code 3 says that they differ.`,
		Example: "  sluice verify landing mart",
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.settle(); err != nil {
				return err
			}
			return a.verify(c.Context(), args[0], args[1], r.Threads, progress)
		},
	}
	f := c.Flags()
	f.IntVar(&r.Threads, "threads", 0, "`N` threads to read with (default one per CPU)")
	section(f, sectionProcess, "threads")
	progressFlag(c, &progress)
	a.outputFlag(c)
	return c
}

func (a *app) verify(ctx context.Context, left, right string, threads int, progress string) error {
	p, err := a.progress(progress)
	if err != nil {
		return err
	}
	r, err := verify.Compare(ctx, a.fs, left, right, verify.Options{Threads: threads, Progress: func(done, total int64) {
		p.Update(ui.Snapshot{What: "verify", State: "reading", Lanes: []ui.Lane{{Name: "read", Rows: done, RowsGoal: total}}})
	}})
	p.Close()
	if err != nil {
		return err
	}
	r.OnlyA, r.OnlyB, r.Differ = notNil(r.OnlyA), notNil(r.OnlyB), notNil(r.Differ)
	if err := a.print(r, func(w io.Writer) error { return ui.Verify(w, r) }); err != nil {
		return err
	}
	if !r.Equal {
		return differsError{r.Summary()}
	}
	return nil
}
