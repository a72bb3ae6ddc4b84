package core

import (
	"fmt"

	"github.com/sluice-engine/sluice/commit"
	"github.com/sluice-engine/sluice/model"
)

// The publish steps and commit's are the same words.
func stepKind(s commit.Step) PublishStepKind { return PublishStepKind(s) }

// carryOut does what a job's publication decided last.
func (c *Core) carryOut(j *job) {
	for j.next.Verdict != commit.Wait && !j.planning {
		next := j.next
		j.next = commit.Action{}
		switch next.Verdict {
		case commit.Do:
			c.changed[j.id] = true
			c.emit(PublishStep{Job: j.id, Step: stepKind(next.Step), Args: c.publishArgs(j)})
		case commit.GiveUp:
			f := j.pubFailure
			c.stop(j, model.JobFailed, &model.Failure{Reason: f.Reason,
				Message: fmt.Sprintf("publish failed at step %s, the output is untouched: %s", next.Step, f.Message)})
		case commit.Succeeded:
			c.end(j, model.JobSucceeded, nil)
		case commit.Stopped:
			c.end(j, j.stopping.State, j.stopping.Failure)
		case commit.Stuck:
			c.endStuck(j, next.Step)
		}
	}
}

// endStuck ends a job whose publish can be neither finished nor undone for now. Its record stays, so that the
// next job that starts there does it.
func (c *Core) endStuck(j *job, s commit.Step) {
	f := j.pubFailure
	text := "the new data is committed, but the old files could not be removed"
	if s == commit.Undo {
		text = fmt.Sprintf("%s; and the files with final names could not be removed again", j.stopping.Failure.Message)
	}
	c.end(j, model.JobFailed, &model.Failure{Reason: f.Reason,
		Message: fmt.Sprintf("%s: %s: mend that; the next job that writes to %s finishes it", text, f.Message, j.conf.Out)})
}

func (c *Core) end(j *job, state model.JobState, f *model.Failure) {
	r := j.makeReceipt(c.now, state, f)
	c.append(Entry{JobEnded: &JobEnded{Job: j.id, State: state, Failure: f, Receipt: r}})
	if state == model.JobSucceeded {
		c.forgetJob(j) // one that was stopped is forgotten already
	}
}

// publishArgs gathers what a step needs.
func (c *Core) publishArgs(j *job) PublishArgs {
	args := PublishArgs{
		Conf: j.conf, Mode: j.spec.Mode, Verify: j.spec.Verify, Old: j.old, Record: j.published.Record,
	}
	if args.Conf.Job == "" {
		args.Conf = j.unused
	}
	if args.Conf.Job == "" { // it was not planned
		args.Conf.Job, args.Conf.UUID, args.Conf.Out = j.id, j.uuid, j.spec.Out
	}
	for n, st := range j.stages {
		for i := range st.tasks {
			if w := st.tasks[i].write; w != nil && w.Files > 0 {
				args.Manifests = append(args.Manifests, w.Manifest)
			}
		}
		if len(j.shapes[n].Needs) == 0 {
			in := st.input()
			args.ExpectedRows += in.rows
			args.ExpectedHash.Add(in.hash)
			args.EmptyText += in.emptyText
		}
	}
	return args
}

func (c *Core) publishDone(e PublishDone) {
	j := c.publishing(e.Job, e.Step)
	if j == nil {
		return
	}
	c.append(Entry{PublishMoved: &PublishMoved{Job: j.id, Step: e.Step, Result: e.Result}})
}

func (c *Core) publishFailed(e PublishFailed) {
	j := c.publishing(e.Job, e.Step)
	if j == nil {
		return
	}
	f := e.Failure
	f.Message = cut(f.Message, maxFailureText)
	j.pubFailure = &f
	next, err := j.pub.Step(c.now, commit.Failed{Step: commit.Step(e.Step), Retryable: f.Reason.Retryable()})
	if err != nil {
		return // an answer to a step that was not asked
	}
	c.changed[j.id] = true
	j.next = next
}

// publishing returns the job if the step is the one that it waits for.
func (c *Core) publishing(id model.JobID, step PublishStepKind) *job {
	j := c.jobs[id]
	if j == nil || j.state.Terminal() || j.pub.Underway() != commit.Step(step) {
		return nil
	}
	return j
}

func (c *Core) retryPublish(j *job) {
	if at, waits := j.pub.Deadline(); !waits || at.After(c.now) || j.state.Terminal() {
		return
	}
	j.stepPublish(c, commit.Tick{})
}

// restartPublish asks for the step that comes next after a restart.
func (c *Core) restartPublish(j *job) { j.stepPublish(c, commit.Restarted{}) }

func (j *job) stepPublish(c *Core, e commit.Event) {
	next, err := j.pub.Step(c.now, e)
	if err != nil {
		panic(fmt.Sprintf("core: %T cannot be refused: %v", e, err))
	}
	j.next = next
}
