package core

import (
	"fmt"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/scheduler"
)

func (c *Core) status(j *job) model.JobStatus {
	s := model.JobStatus{
		Job: j.id, Name: j.spec.Name, State: j.state, Detail: c.detail(j),
		Submitted: j.submitted, Ended: j.ended, Spec: j.spec,
		Stages: j.final, RowsTotal: j.inRows, Failure: j.failure, Receipt: j.receipt,
	}
	if !j.state.Terminal() {
		s.Stages = c.stageStatuses(j)
		if j.stopping != nil {
			s.Failure = j.stopping.Failure
		}
	}
	return s
}

// detail says in words what an unfinished job waits for.
func (c *Core) detail(j *job) string {
	step := j.pub.Underway()
	switch {
	case j.state.Terminal():
		return ""
	case j.stopping != nil && (j.planning || step == ""):
		return "stopping"
	case j.stopping != nil:
		return fmt.Sprintf("stopping: %s", step)
	case j.state == model.JobPlanning:
		return "reading footers"
	case j.state == model.JobPublishing && step == "" && j.pubFailure != nil:
		return fmt.Sprintf("%s failed and will be tried again: %s", j.pub.Next(), j.pubFailure.Message)
	case j.state == model.JobPublishing:
		return string(step)
	case !c.noneSince.IsZero():
		return fmt.Sprintf("waiting for an executor until %s", c.noneSince.Add(c.cfg.NoExecutorGrace).UTC().Format("15:04:05"))
	}
	for n := range j.stages {
		if k := c.sched.Counts(j.stageID(n)); n+1 < len(j.stages) && k.Done < k.Tasks {
			return fmt.Sprintf("lost outputs of stage %d are made again: %d", n, k.Tasks-k.Done)
		}
	}
	return ""
}

func (c *Core) stageStatuses(j *job) []model.StageStatus {
	out := make([]model.StageStatus, 0, len(j.stages))
	for n, st := range j.stages {
		if !st.fixed {
			continue
		}
		k := st.counts
		if j.live() {
			k = c.sched.Counts(j.stageID(n))
		}
		s := model.StageStatus{
			Stage: n, Kind: st.kind, Tasks: k.Tasks, Done: k.Done, Running: k.Running, Failed: k.Failed, Lost: k.Lost,
			Rows: st.rows, Bytes: st.bytes, Files: st.files, RowsGoal: j.rowsGoal(n),
		}
		for id, p := range j.progress { // sums do not depend on the order
			if a, ok := c.sched.Attempt(id); ok && id.Task.Stage == n && a.State == scheduler.AttemptRunning {
				s.Rows += p.Rows
				s.Bytes += p.Bytes
				s.Files += p.Files
			}
		}
		out = append(out, s)
	}
	return out
}

// rowsGoal is how many rows a stage will have when it is done: those of the input, or those that the
// map outputs before it hold.
func (j *job) rowsGoal(n int) int64 {
	if len(j.shapes[n].Needs) == 0 {
		return j.inRows
	}
	var rows int64
	for _, r := range j.stages[n].ranges {
		rows += r.Rows
	}
	return rows
}
