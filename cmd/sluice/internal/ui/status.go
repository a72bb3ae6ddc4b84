package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sluice-engine/sluice/model"
)

// Jobs lists jobs, a line each.
func Jobs(w io.Writer, jobs []model.JobStatus, now time.Time) error {
	if len(jobs) == 0 {
		_, err := fmt.Fprintln(w, "no jobs")
		return err
	}
	t := columns("id", "name", "state", "submitted", ">time", ">tasks", ">rows")
	for _, j := range jobs {
		done, all := 0, 0
		for _, g := range j.Stages {
			done, all = done+g.Done, all+g.Tasks
		}
		t.AppendRow([]any{j.Job, j.Name, j.State, since(now, j.Submitted), Seconds(age(j, now)), fmt.Sprintf("%d/%d", done, all), Count(j.RowsTotal)})
	}
	return block(w, "", t)
}

// age is how long a job runs, or ran.
func age(j model.JobStatus, now time.Time) time.Duration {
	if j.State.Terminal() {
		return j.Ended.Sub(j.Submitted)
	}
	return now.Sub(j.Submitted)
}

// Executors lists executors, a line each.
func Executors(w io.Writer, executors []model.ExecutorStatus, now time.Time) error {
	if len(executors) == 0 {
		_, err := fmt.Fprintln(w, "no executors")
		return err
	}
	t := columns("id", "state", "address", ">threads", ">slots", ">memory", ">running", ">map outputs", "heard")
	for _, e := range executors {
		t.AppendRow([]any{e.Executor, e.State, e.Addr, e.Threads, e.Slots, Size(e.Memory), e.Running, e.Outputs, since(now, e.LastHeard)})
	}
	return block(w, "", t)
}

// Job shows one job: what was asked, its stages, how it ended.
func Job(w io.Writer, j model.JobStatus, now time.Time) error {
	p := &printer{w: w}
	p.line("job %s\n", j.Job)
	p.pair("name", "%s", j.Name)
	state := string(j.State)
	if j.Detail != "" {
		state += " (" + j.Detail + ")"
	}
	p.pair("state", "%s", state)
	p.pair("submitted", "%s, %s", j.Submitted.Format(time.RFC3339), since(now, j.Submitted))
	p.pair("time", "%s", Duration(age(j, now)))
	if j.Failure != nil {
		p.pair("failure", "%s (%s)", strings.ReplaceAll(j.Failure.Message, "\n", "; "), j.Failure.Reason)
	}
	p.spec(j.Spec)
	p.stages(j.Stages)
	if p.err == nil && j.Receipt != nil && j.State == model.JobSucceeded {
		p.line("")
		return Receipt(w, *j.Receipt)
	}
	return p.err
}

// spec shows the job as the file that would make it again.
func (p *printer) spec(s model.JobSpec) {
	b, err := yaml.Marshal(s)
	if err != nil {
		p.err = err
		return
	}
	p.line("\n  job file")
	for _, l := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		p.line("    %s", l)
	}
}

func (p *printer) stages(stages []model.StageStatus) {
	if len(stages) == 0 {
		return
	}
	t := columns("stage", "kind", ">done", ">running", ">failed", ">lost", ">rows", ">bytes", ">files")
	for _, g := range stages {
		t.AppendRow([]any{g.Stage, g.Kind, fmt.Sprintf("%d/%d", g.Done, g.Tasks), g.Running, g.Failed, g.Lost, Count(g.Rows), Size(g.Bytes), Count(g.Files)})
	}
	p.table(t.Render())
}
