package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/model"
)

func (a *app) newSubmit() *cobra.Command {
	var j jobFlags
	var cl clusterFlags
	var wait, watch bool
	var progress string
	c := &cobra.Command{
		Use: "submit -f FILE [flags]", Short: "Hand a job file to a cluster", GroupID: groupCluster, Args: noInputs("submit"),
		Long: `Hands the job that a file describes to a cluster and prints its id. The keys of the file are the
flags below in snake_case, with ` + "`input`" + ` for what to read. Paths must be absolute, and mean the same
on the coordinator and on every executor.

With --wait or --watch the exit code says how the job ended. Ctrl-C then ends the waiting, not the
job; ` + "`sluice cancel`" + ` ends that.`,
		Example: `  sluice submit -f job.yaml --coordinator 127.0.0.1:7400
  sluice submit -f job.yaml --coordinator 127.0.0.1:7400 --watch --receipt receipt.json`,
		RunE: func(c *cobra.Command, args []string) error {
			if j.file == "" {
				return usagef("-f is missing: name the job file")
			}
			job, err := j.resolve(a, c, args)
			if err != nil {
				return err
			}
			if err := j.clusterJob(c.Flags(), job); err != nil {
				return err
			}
			if !wait && !watch {
				if givenByUser(c.Flags().Lookup("receipt")) {
					return usagef("--receipt: there is none before the job has ended; add --wait")
				}
				return a.submit(c.Context(), cl, job.JobSpec)
			}
			if !watch && !c.Flags().Changed("progress") {
				progress = ui.ProgressNone
			}
			return a.submitAndWait(c.Context(), cl, job, progress)
		},
	}
	j.bindFile(c)
	j.bindSpec(c)
	cl.bindClient(c)
	f := c.Flags()
	f.BoolVar(&wait, "wait", false, "wait for the end of the job and show its receipt")
	f.BoolVar(&watch, "watch", false, "wait, and show progress meanwhile")
	section(f, sectionHere, "wait", "watch")
	j.bindReceipt(f)
	progressFlag(c, &progress)
	a.outputFlag(c)
	return c
}

// idOnly is what `submit -o json` and `cancel -o json` print.
type idOnly struct {
	Job   model.JobID    `json:"id"`
	State model.JobState `json:"state,omitempty"`
}

func (c *cluster) submit(ctx context.Context, spec model.JobSpec) (id model.JobID, err error) {
	err = c.call(ctx, func(ctx context.Context) (err error) {
		id, err = c.jobs.Submit(ctx, spec)
		return err
	})
	return id, err
}

func (a *app) submit(ctx context.Context, f clusterFlags, spec model.JobSpec) error {
	return a.withCluster(f, func(c *cluster) error {
		id, err := c.submit(ctx, spec)
		if err != nil {
			return err
		}
		return a.print(idOnly{Job: id}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, id)
			return err
		})
	})
}

func (a *app) submitAndWait(ctx context.Context, f clusterFlags, j job, progress string) error {
	if err := a.checkReceipt(j.Receipt); err != nil {
		return err
	}
	return a.withCluster(f, func(c *cluster) error {
		id, err := c.submit(ctx, j.JobSpec)
		if err != nil {
			return err
		}
		return a.waitFor(ctx, c, id, progress, j.Receipt)
	})
}

// waitFor waits for a job that goes on without us.
func (a *app) waitFor(ctx context.Context, c *cluster, id model.JobID, progress, receipt string) error {
	p, err := a.progress(progress)
	if err != nil {
		return err
	}
	st, err := c.wait(ctx, id, func(s model.JobStatus) { p.Update(ui.Of(s)) })
	p.Close()
	if errors.Is(err, context.Canceled) && a.interrupted() {
		a.stderr.Line("sluice: job %s goes on; `sluice wait %s` waits for it again, `sluice cancel %s` ends it", id, id, id)
	}
	return a.finish(st, noJob(id, err), receipt)
}

func (a *app) newWait() *cobra.Command {
	var cl clusterFlags
	var j jobFlags
	var progress string
	c := &cobra.Command{
		Use: "wait ID [flags]", Short: "Wait for the end of a job and show its receipt", GroupID: groupCluster, Args: jobArgs,
		Long: `Waits until a job has ended. The exit code says how, as if the job had run in this process.
Ctrl-C ends the waiting, not the job.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.checkReceipt(j.flags.Receipt); err != nil {
				return err
			}
			return a.withCluster(cl, func(cc *cluster) error {
				return a.waitFor(c.Context(), cc, model.JobID(args[0]), progress, j.flags.Receipt)
			})
		},
	}
	cl.bindClient(c)
	j.bindReceipt(c.Flags())
	progressFlag(c, &progress)
	a.outputFlag(c)
	return c
}

func (a *app) newCancel() *cobra.Command {
	var cl clusterFlags
	var reason string
	c := &cobra.Command{
		Use: "cancel ID [flags]", Short: "End a job; its output stays as it was", GroupID: groupCluster, Args: jobArgs,
		Long: `Ends a job and removes what it staged; its output stays as it was before. A job that has ended
already stays as it is.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.cancel(c.Context(), cl, model.JobID(args[0]), reason)
		},
	}
	c.Flags().StringVar(&reason, "reason", "cancelled by sluice cancel", "`TEXT` for whoever waits for the job")
	cl.bindClient(c)
	a.outputFlag(c)
	return c
}

func (a *app) cancel(ctx context.Context, f clusterFlags, id model.JobID, reason string) error {
	return a.withCluster(f, func(c *cluster) error {
		var st model.JobStatus
		err := c.call(ctx, func(ctx context.Context) (err error) {
			if err = c.jobs.Cancel(ctx, id, reason); err == nil {
				st, err = c.jobs.Get(ctx, id)
			}
			return err
		})
		if err != nil {
			return noJob(id, err)
		}
		return a.print(idOnly{Job: id, State: st.State}, func(w io.Writer) error {
			text := "job %s is being cancelled (%s)\n"
			if st.State.Terminal() {
				text = "job %s has ended: %s\n"
			}
			_, err := fmt.Fprintf(w, text, id, st.State)
			return err
		})
	})
}
