package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/node"
)

const partitionersHelp = `Which partition a row goes to:
  --partition-by P         by value: one directory for each value of P
  --by C -n N              hash: exactly N partitions by Spark's hash of C
  --by C                   hash: 200 partitions
  -n N                     round robin: N partitions of equal size
  --no-shuffle             none: every map task writes its own files
Beside --partition-by one of the others makes a partition the pair of number and value; ` + "`sluice plan`" + `
says how many files that makes.`

func (a *app) newRepartition() *cobra.Command {
	var j jobFlags
	var cl clusterFlags
	var progress string
	c := &cobra.Command{
		Use: "repartition INPUT... --out DIR [flags]", Short: "Lay a dataset out anew", GroupID: groupJobs, Args: cobra.ArbitraryArgs,
		Long: `Reads Parquet files, sends every row to its partition, and publishes right-sized files, all or
nothing. INPUT is a directory, a glob or a file. It runs in this process, or with --coordinator on
a cluster: then paths must be absolute and the same on all its machines.

` + partitionersHelp,
		Example: `  sluice repartition landing/day=2021-08-28 --partition-by type --out mart/day=2021-08-28
  sluice repartition 'landing/*.parquet' --by device_id -n 16 --out by-device --mode overwrite`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("INPUT is missing: name the files, directories or globs to read")
			}
			job, err := j.resolve(a, c, args)
			if err != nil {
				return err
			}
			if cl.coordinator == "" {
				return a.runHere(c.Context(), job, progress)
			}
			if err := j.clusterJob(c.Flags(), job); err != nil {
				return err
			}
			return a.runThere(c.Context(), cl, job, progress)
		},
	}
	j.bindSpec(c)
	j.flags.bind(c.Flags())
	cl.bind(c, "", "`HOST:PORT`: let a cluster do it, and wait (SLUICE_COORDINATOR)")
	j.bindExecution(c)
	j.bindReceipt(c.Flags())
	progressFlag(c, &progress)
	a.outputFlag(c)
	return c
}

func (a *app) newRun() *cobra.Command {
	var j jobFlags
	var progress string
	c := &cobra.Command{
		Use: "run -f FILE [flags]", Short: "Run a job file in this process", GroupID: groupJobs, Args: noInputs("run"),
		Long: `Runs the job that a file describes, in this process. The keys of the file are the flags below in
snake_case, with ` + "`input`" + ` for what to read; the same file runs on a cluster with ` + "`sluice submit`" + `.
Relative paths are relative to the current directory.`,
		Example: `  sluice run -f job.yaml
  sluice run -f job.yaml --mode overwrite --receipt receipt.json`,
		RunE: func(c *cobra.Command, args []string) error {
			if j.file == "" {
				return usagef("-f is missing: name the job file")
			}
			job, err := j.resolve(a, c, args)
			if err != nil {
				return err
			}
			return a.runHere(c.Context(), job, progress)
		},
	}
	j.bindFile(c)
	j.bindSpec(c)
	j.flags.bind(c.Flags())
	j.bindExecution(c)
	j.bindReceipt(c.Flags())
	progressFlag(c, &progress)
	a.outputFlag(c)
	return c
}

// noInputs refuses arguments of a verb that reads a job file.
func noInputs(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("%s takes its input from the job file (key input), got %q", verb, args[0])
		}
		return nil
	}
}

// clusterJob refuses what makes sense in this process only. What a job file or the environment says
// about this machine is passed over: the same file runs in both places.
func (j *jobFlags) clusterJob(fs *pflag.FlagSet, out job) error {
	for _, name := range append([]string{"execution"}, resourceFlags...) {
		if f := fs.Lookup(name); givenByUser(f) {
			return usagef("--%s is about this machine, and the job runs on a cluster: its executors have flags of their own", name)
		}
	}
	return j.absolutePaths(fs, out.JobSpec)
}

// runHere runs a job in this process.
func (a *app) runHere(ctx context.Context, j job, progress string) error {
	if err := errors.Join(j.settle(), a.checkReceipt(j.Receipt)); err != nil {
		return err
	}
	if err := j.makeAbsolute(); err != nil {
		return err
	}
	execution, err := j.execution()
	if err != nil {
		return err
	}
	p, err := a.progress(progress)
	if err != nil {
		return err
	}
	st, err := node.RunEmbedded(ctx, node.EmbeddedOptions{
		TempDirs: j.TempDir, Threads: j.Threads, Slots: j.Slots, Memory: int64(j.MemoryLimit),
		Execution: execution, Logger: a.logger(slog.LevelWarn),
	}, j.JobSpec, func(s model.JobStatus) { p.Update(ui.Of(s)) })
	p.Close()
	return a.finish(st, err, j.Receipt)
}

// runThere runs a job on a cluster as if it ran here: the first Ctrl-C cancels it.
func (a *app) runThere(ctx context.Context, f clusterFlags, j job, progress string) error {
	if err := a.checkReceipt(j.Receipt); err != nil {
		return err
	}
	p, err := a.progress(progress)
	if err != nil {
		return err
	}
	return a.withCluster(f, func(c *cluster) error {
		id, err := c.submit(ctx, j.JobSpec)
		if err != nil {
			return err
		}
		st, err := c.waitOrCancel(ctx, id, func(s model.JobStatus) { p.Update(ui.Of(s)) })
		p.Close()
		return a.finish(st, err, j.Receipt)
	})
}

// waitOrCancel waits for a job, cancels it when ctx ends, and then waits for its end.
func (c *cluster) waitOrCancel(ctx context.Context, id model.JobID, each func(model.JobStatus)) (model.JobStatus, error) {
	all := context.WithoutCancel(ctx)
	cancelled := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		cancelled <- c.call(all, func(ctx context.Context) error { return c.jobs.Cancel(ctx, id, "interrupted") })
	})
	st, err := c.wait(all, id, each)
	if !stop() {
		err = errors.Join(err, <-cancelled)
	}
	return st, err
}

// finish shows how a job ended: the receipt on stdout and in its file, the failure as the error.
func (a *app) finish(st model.JobStatus, err error, receiptPath string) error {
	if st.Job == "" || !st.State.Terminal() {
		return err
	}
	r := receiptOf(st)
	errs := []error{stateError(st), err}
	if receiptPath != "" {
		errs = append(errs, a.writeReceipt(receiptPath, r))
	}
	if st.State == model.JobSucceeded || a.output == outputJSON {
		errs = append(errs, a.print(r, func(w io.Writer) error { return ui.Receipt(w, r) }))
	}
	return errors.Join(errs...)
}

// receiptOf returns a job's receipt; a job that failed before it had one gets what is known.
func receiptOf(st model.JobStatus) model.Receipt {
	if st.Receipt != nil {
		return *st.Receipt
	}
	return model.Receipt{
		Job: st.Job, Name: st.Name, State: st.State, Input: st.Spec.Input, Out: st.Spec.Out,
		Partitioning: st.Spec.Partitioning().String(), Mode: st.Spec.Mode, Submitted: st.Submitted, Ended: st.Ended,
		Failure: st.Failure,
	}
}

func (a *app) writeReceipt(path string, r model.Receipt) error {
	var b bytes.Buffer
	if err := ui.JSON(&b, r); err != nil {
		return err
	}
	if err := vfs.ReplaceFile(a.fs, path, b.Bytes()); err != nil {
		return fmt.Errorf("--receipt %s: %w", path, err)
	}
	return nil
}
