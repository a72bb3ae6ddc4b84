package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/dataset/survey"
	"github.com/sluice-engine/sluice/model"
)

func (a *app) newPlan() *cobra.Command {
	var j jobFlags
	var cl clusterFlags
	c := &cobra.Command{
		Use: "plan (INPUT... --out DIR | -f FILE) [flags]", Short: "Say what a job would do, and change nothing", GroupID: groupJobs, Args: cobra.ArbitraryArgs,
		Long: `Takes the arguments of ` + "`sluice repartition`" + `, or a job file, and says how many tasks, files and bytes
there will be, from listings, footers and the dictionary pages of the partition columns. It changes
nothing. Each figure is marked exact, estimate or at most. With --coordinator the tasks are those of
that cluster's executors; the files are read from here in any case.

` + partitionersHelp,
		Example: `  sluice plan landing --partition-by type --out mart
  sluice plan landing --by device_id -n 16 --partition-by type --out mart
  sluice plan -f job.yaml -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && j.file == "" {
				return usagef("INPUT is missing: name the files, directories or globs to read, or a job file with -f")
			}
			// A plan may be asked for before it is known where its output will go.
			if j.file == "" && j.flags.Out == "" {
				j.flags.Out = unnamedOut
				c.Flags().Lookup("out").Changed = true
			}
			job, err := j.resolve(a, c, args)
			if err != nil {
				return err
			}
			return a.plan(c.Context(), cl, job)
		},
	}
	j.bindFile(c)
	j.bindSpec(c)
	j.flags.bind(c.Flags())
	j.bindExecution(c)
	cl.bind(c, "", "`HOST:PORT`: plan for the executors of a cluster (SLUICE_COORDINATOR)")
	a.outputFlag(c)
	return c
}

// unnamedOut stands for an output that a plan was not told.
const unnamedOut = "OUT"

func (a *app) plan(ctx context.Context, f clusterFlags, j job) error {
	if err := j.settle(); err != nil {
		return err
	}
	slots, threads := j.Slots, j.Threads
	execution, err := j.execution()
	if err != nil {
		return err
	}
	if f.coordinator != "" {
		execution = model.ExecutionStaged
		if slots, threads, err = a.clusterSize(ctx, f); err != nil {
			return err
		}
	}
	s, err := survey.Look(ctx, a.fs, j.JobSpec)
	if err != nil {
		return err
	}
	e, err := s.Explain(ctx, slots, threads, execution)
	if err != nil {
		return err
	}
	return a.print(e, func(w io.Writer) error { return ui.Plan(w, e) })
}

// clusterSize is how many map tasks a cluster runs at a time, and with how many threads in all.
func (a *app) clusterSize(ctx context.Context, f clusterFlags) (slots, threads int, err error) {
	err = a.withCluster(f, func(c *cluster) error {
		var executors []model.ExecutorStatus
		err := c.call(ctx, func(ctx context.Context) (err error) {
			executors, err = c.jobs.Executors(ctx)
			return err
		})
		for _, e := range executors {
			if e.State == "alive" {
				slots, threads = slots+e.Slots, threads+e.Threads
			}
		}
		return err
	})
	return max(slots, 1), max(threads, 1), err
}
