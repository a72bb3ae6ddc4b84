package main

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/model"
)

func (a *app) newGet() *cobra.Command {
	c := &cobra.Command{Use: "get", Short: "List jobs or executors", GroupID: groupCluster}
	return a.group(c, "jobs or executors", a.newGetJobs(), a.newGetExecutors())
}

func (a *app) newGetJobs() *cobra.Command {
	var cl clusterFlags
	c := &cobra.Command{
		Use: "jobs [flags]", Short: "List the jobs of a cluster, newest first", Args: noArgs, Aliases: []string{"job"},
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withCluster(cl, func(cc *cluster) error { return a.getJobs(c.Context(), cc) })
		},
	}
	cl.bindClient(c)
	a.outputFlag(c)
	return c
}

func (a *app) getJobs(ctx context.Context, c *cluster) error {
	var jobs []model.JobStatus
	err := c.call(ctx, func(ctx context.Context) (err error) {
		jobs, err = c.jobs.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(jobs, func(x, y model.JobStatus) int { return y.Submitted.Compare(x.Submitted) })
	return a.print(notNil(jobs), func(w io.Writer) error { return ui.Jobs(w, jobs, a.stderr.Now()) })
}

func (a *app) newGetExecutors() *cobra.Command {
	var cl clusterFlags
	c := &cobra.Command{
		Use: "executors [flags]", Short: "List the executors of a cluster", Args: noArgs, Aliases: []string{"executor"},
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withCluster(cl, func(cc *cluster) error { return a.getExecutors(c.Context(), cc) })
		},
	}
	cl.bindClient(c)
	a.outputFlag(c)
	return c
}

func (a *app) getExecutors(ctx context.Context, c *cluster) error {
	var executors []model.ExecutorStatus
	err := c.call(ctx, func(ctx context.Context) (err error) {
		executors, err = c.jobs.Executors(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return a.print(notNil(executors), func(w io.Writer) error { return ui.Executors(w, executors, a.stderr.Now()) })
}

// notNil makes an empty list print as [], not as null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (a *app) newDescribe() *cobra.Command {
	c := &cobra.Command{Use: "describe", Short: "Show everything about a job", GroupID: groupCluster}
	return a.group(c, "job", a.newDescribeJob())
}

func (a *app) newDescribeJob() *cobra.Command {
	var cl clusterFlags
	c := &cobra.Command{
		Use: "job ID [flags]", Short: "Show a job: what was asked, its stages, its receipt or failure", Args: jobArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withCluster(cl, func(cc *cluster) error { return a.describeJob(c.Context(), cc, model.JobID(args[0])) })
		},
	}
	cl.bindClient(c)
	a.outputFlag(c)
	return c
}

func (a *app) describeJob(ctx context.Context, c *cluster, id model.JobID) error {
	var st model.JobStatus
	err := c.call(ctx, func(ctx context.Context) (err error) {
		st, err = c.jobs.Get(ctx, id)
		return err
	})
	if err != nil {
		return noJob(id, err)
	}
	return a.print(st, func(w io.Writer) error { return ui.Job(w, st, a.stderr.Now()) })
}
