package core

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/commit"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
	"github.com/sluice-engine/sluice/scheduler"
)

// job is one job. What is heavy (splits, outputs) is dropped when it ends.
type job struct {
	id        model.JobID
	uuid      string
	spec      model.JobSpec
	state     model.JobState
	stopping  *JobStopping // it will end so; state moves only when it ended
	submitted time.Time
	running   time.Time // since when tasks may run
	started   time.Time // first attempt
	ended     time.Time

	parts    planParts // of a plan that is not complete
	conf     model.JobConf
	splits   []model.Split // of the tasks that read input
	old      []plan.OldFile
	inFiles  int64
	inRows   int64
	inBytes  int64
	shapes   []scheduler.Shape
	stages   []*stage
	sizePart sizeParts // of a map output that is not complete

	pub       commit.Publication
	published PublishResult // what the steps found out, summed up
	receipt   *model.Receipt
	failure   *model.Failure
	final     []model.StageStatus // of an ended job
	retries   int                 // set when its tasks are over

	// Volatile.
	planning   bool          // PlanJob was asked and not answered
	unused     model.JobConf // of a plan that came too late; Cleanup needs to know where
	next       commit.Action // verdict of the publication that is not carried out yet
	pubFailure *model.Failure
	progress   map[model.AttemptID]model.Progress
}

type planParts struct {
	seq    int
	splits []model.Split
	old    []plan.OldFile
	schema []byte
}

type sizeParts struct {
	attempt model.AttemptID
	seq     int
	buckets []model.BucketSize
	hot     []model.ValueSize
}

// stage is what the core knows of a stage beside the scheduler's tasks.
type stage struct {
	kind   model.TaskKind
	ranges []model.ReduceRange // of a reduce stage; seq counts the parts while they come
	seq    int
	fixed  bool // StageStarted came
	tasks  []taskResult
	sizes  plan.Sizes // of a map stage

	// Sums over the committed results.
	rows, bytes, files int64

	counts  scheduler.Counts  // when the tasks are over
	sources []model.MapSource // of its outputs; nil when they changed
}

// taskResult holds what a task's committed attempts reported.
type taskResult struct {
	sized bool // its sizes are in stage.sizes
	// outputs are all map outputs that were ever the task's result, lost ones included: their holder
	// may come back with them. current is the one that counts now, -1 for none.
	outputs []mapResult
	current int
	write   *model.WriteOutput
}

type mapResult struct {
	output model.MapOutput // without Buckets and Hot
	holder model.Incarnation
	bad    bool // could not be read; never taken again
}

// shapesOf lays out a job's stages. It is the one place that knows which stages a job has; all
// else follows the edges.
func shapesOf(c model.JobConf) []scheduler.Shape {
	if c.Partitioning.Kind == model.PartitionNone || c.Execution == model.ExecutionFused {
		return []scheduler.Shape{{Kind: model.TaskDirect}}
	}
	return []scheduler.Shape{{Kind: model.TaskMap}, {Kind: model.TaskReduce, Needs: []int{0}}}
}

func (j *job) stageID(n int) model.StageID { return model.StageID{Job: j.id, Stage: n} }

func (j *job) fixedStages() int {
	n := len(j.stages)
	if n > 0 && !j.stages[n-1].fixed {
		n--
	}
	return n
}

// live reports whether tasks of the job may run.
func (j *job) live() bool { return j.state == model.JobRunning && j.stopping == nil }

func (c *Core) submit(e Submit) {
	for _, j := range c.order {
		if j.id == e.Job || e.Spec.Key != "" && j.spec.Key == e.Spec.Key && j.spec.Name == e.Spec.Name {
			c.emit(Submitted{Asked: e.Job, Job: j.id})
			return
		}
	}
	var tooLong *model.Failure
	if size := specBytes(e.Spec); size > partBytes {
		tooLong = model.Failf(model.ReasonUser, "the job names %d inputs in %s: name directories or globs instead",
			len(e.Spec.Input), model.Size(size))
		e.Spec = model.JobSpec{Name: cut(e.Spec.Name, maxFailureText), Out: cut(e.Spec.Out, maxFailureText)}
	}
	c.append(Entry{JobSubmitted: &JobSubmitted{Job: e.Job, UUID: e.UUID, Spec: e.Spec}})
	c.emit(Submitted{Asked: e.Job, Job: e.Job})
	j := c.jobs[e.Job]
	if tooLong != nil {
		c.stop(j, model.JobFailed, tooLong)
		return
	}
	c.askPlan(j)
}

func (c *Core) askPlan(j *job) {
	j.planning = true
	c.emit(PlanJob{Job: j.id, UUID: j.uuid, Spec: j.spec})
}

func (c *Core) planned(e Planned) {
	j := c.jobs[e.Job]
	if j == nil || !j.planning {
		return
	}
	j.planning = false
	if j.stopping != nil {
		j.unused = e.Plan.Conf
		return
	}
	parts, err := cutPlan(j.id, e.Plan)
	if err != nil {
		j.unused = e.Plan.Conf
		c.stop(j, model.JobFailed, model.AsFailure(err, model.ReasonUser))
		return
	}
	for i := range parts {
		c.append(Entry{PlanPart: &parts[i]})
	}
	conf := e.Plan.Conf
	conf.InputSchema = nil
	c.append(Entry{JobPlanned: &JobPlanned{
		Job: j.id, Conf: conf,
		InputFiles: e.Plan.InputFiles, InputRows: e.Plan.InputRows, InputBytes: e.Plan.InputBytes,
	}})
	c.advance(j)
}

func (c *Core) planFailed(e PlanFailed) {
	j := c.jobs[e.Job]
	if j == nil || !j.planning {
		return
	}
	j.planning = false
	if j.stopping == nil {
		c.stop(j, model.JobFailed, &e.Failure)
	}
}

func (c *Core) cancel(e Cancel) {
	j := c.jobs[e.Job]
	answer := CancelAnswer{Job: e.Job, Accepted: true}
	switch {
	case j == nil:
		answer.Accepted, answer.Why = false, fmt.Sprintf("there is no job %s", e.Job)
	case j.state.Terminal():
		answer.Accepted, answer.Why = false, fmt.Sprintf("the job is over: it %s", map[model.JobState]string{
			model.JobSucceeded: "succeeded", model.JobFailed: "failed", model.JobCancelled: "was cancelled"}[j.state])
	case j.stopping != nil:
		// It ends without output in any case.
	case j.pub.TooLate():
		answer.Accepted, answer.Why = false, "too late: the output is being committed, the job goes forward"
	default:
		why := "cancelled"
		if e.Reason != "" {
			why += ": " + e.Reason
		}
		c.stop(j, model.JobCancelled, &model.Failure{Reason: model.ReasonKilled, Message: why})
		if j.planning {
			c.emit(StopPlan{Job: j.id})
		}
	}
	c.emit(answer)
}

// stop ends a job's tasks; what follows is undoing, cleaning up, and then its end as state.
func (c *Core) stop(j *job, state model.JobState, f *model.Failure) {
	if f != nil {
		f = &model.Failure{Reason: f.Reason, Message: cut(f.Message, maxFailureText), Fetch: f.Fetch}
	}
	c.append(Entry{JobStopping: &JobStopping{Job: j.id, State: state, Failure: f}})
	c.forgetJob(j)
}

func (c *Core) failJob(p scheduler.FailJob) {
	j := c.jobs[p.Job]
	f := p.Failure
	if f.Reason.Retryable() {
		f.Message = fmt.Sprintf("task %s failed %d times, the last time on executor %s: %s",
			p.Task, p.Failures, p.On.Executor, f.Message)
	}
	c.stop(j, model.JobFailed, &f)
}

// advance starts the stage that comes next. When the last stage is done and the job is not
// publishing, its rows do not add up.
func (c *Core) advance(j *job) {
	if !j.live() {
		return
	}
	n := j.fixedStages()
	if n == len(j.shapes) {
		c.stop(j, model.JobFailed, model.Failf(model.ReasonVerification,
			"rows do not add up, nothing was published: %s", j.rowsText()))
		return
	}
	started := &StageStarted{Stage: j.stageID(n), Kind: j.shapes[n].Kind, Tasks: len(j.splits)}
	if started.Kind == model.TaskReduce {
		ranges := plan.Reduce(c.reduceInput(j, j.shapes[n].Needs))
		started.Tasks = len(ranges)
		for _, p := range cutRanges(started.Stage, ranges) {
			c.append(Entry{ReducePart: &p})
		}
	}
	c.append(Entry{StageStarted: started})
}

// reduceInput sums up the outputs of the stages that a reduce stage reads.
func (c *Core) reduceInput(j *job, needs []int) plan.ReduceInput {
	var sizes plan.Sizes
	for _, n := range needs {
		sizes.Add(j.stages[n].sizes.Buckets(), j.stages[n].sizes.Hot())
	}
	return plan.ReduceInput{
		NumBuckets:      j.conf.Partitioning.NumBuckets(),
		Buckets:         sizes.Buckets(),
		Hot:             sizes.Hot(),
		TargetFileBytes: j.conf.TargetFileBytes,
		Threads:         c.sched.Threads(),
	}
}
