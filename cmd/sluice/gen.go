package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/dataset/gen"
)

// The data set of `gen events` without flags: large enough to be interesting, done in a moment.
const (
	genRows  = 2_000_000
	genFiles = 200
	genTypes = 500
	genSeed  = 1
)

func (a *app) newGen() *cobra.Command {
	c := &cobra.Command{Use: "gen", Short: "Generate data to try Sluice on", GroupID: groupJobs}
	return a.group(c, "events", a.newGenEvents())
}

// genResult is what `gen events -o json` prints.
type genResult struct {
	Out     string  `json:"out"`
	Rows    int64   `json:"rows"`
	Files   int     `json:"files"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func (a *app) newGenEvents() *cobra.Command {
	var o gen.Options
	var progress string
	c := &cobra.Command{
		Use: "events --out DIR [flags]", Short: "Many small Parquet files of mixed events, as a streaming pipeline lands them", Args: noArgs,
		Long: `Writes the event landing data set: many small Parquet files with 20 columns and the event types
mixed, a quarter of all rows of the first type. The same flags make the same bytes, whatever the
number of threads.`,
		Example: `  sluice gen events --out landing
  sluice gen events --out landing --rows 20000000 --files 2000`,
		RunE: func(c *cobra.Command, _ []string) error { return a.genEvents(c.Context(), o, progress) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.Dir, "out", "", "`DIR` to write to; made if it does not exist, else it must be empty")
	f.Int64Var(&o.Rows, "rows", genRows, fmt.Sprintf("`N` rows in all files together (default %d)", genRows))
	f.IntVar(&o.Files, "files", genFiles, fmt.Sprintf("`N` files (default %d)", genFiles))
	f.IntVar(&o.Types, "types", genTypes, fmt.Sprintf("`N` event types (default %d)", genTypes))
	f.Uint64Var(&o.Seed, "seed", genSeed, fmt.Sprintf("another `N` makes other data of the same kind (default %d)", genSeed))
	f.StringVar(&o.Codec, "compression", gen.CodecSnappy, "`CODEC` of the pages: snappy, zstd or none (default snappy)")
	complete(c, "compression", gen.CodecSnappy, gen.CodecZstd, gen.CodecNone)
	f.IntVar(&o.Threads, "threads", 0, "`N` files made at the same time (default one per CPU)")
	section(f, sectionProcess, "threads")
	a.outputFlag(c)
	progressFlag(c, &progress)
	return c
}

func (a *app) genEvents(ctx context.Context, o gen.Options, progress string) error {
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	p, err := a.progress(progress)
	if err != nil {
		return err
	}
	start := time.Now()
	o.FS = a.fs
	o.Progress = func(rows, bytes int64, files int) {
		p.Update(ui.Snapshot{What: "gen events", State: "writing", Lanes: []ui.Lane{{
			Name: "write", Unit: "files", Tasks: o.Files, Done: files, Rows: rows, RowsGoal: o.Rows, Bytes: bytes,
		}}})
	}
	res, err := gen.Events(ctx, o)
	p.Close()
	if err != nil {
		return err
	}
	r := genResult{Out: o.Dir, Rows: res.Rows, Files: res.Files, Bytes: res.Bytes, Seconds: time.Since(start).Seconds()}
	return a.print(r, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s rows in %s files, %s, written to %s in %s\n",
			ui.Count(r.Rows), ui.Count(int64(r.Files)), ui.Size(r.Bytes), r.Out, ui.Duration(time.Since(start)))
		return err
	})
}
