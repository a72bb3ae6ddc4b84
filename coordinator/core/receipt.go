package core

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// inputSums are sums over what the tasks that read the input report.
type inputSums struct {
	rows, bytes  int64
	out          int64 // rows that went into the shuffle, or into files
	shuffleBytes int64
	emptyText    int64
	spills       int
	hash         model.ContentHash
}

func (st *stage) input() inputSums {
	var s inputSums
	for i := range st.tasks {
		t := &st.tasks[i]
		switch r := t.result(); {
		case r != nil:
			s.rows += r.output.InRows
			s.bytes += r.output.InBytes
			s.out += r.output.Rows
			s.shuffleBytes += r.output.Bytes
			s.emptyText += r.output.EmptyText
			s.spills += r.output.Spills
			s.hash.Add(r.output.Hash)
		case st.kind == model.TaskDirect && t.write != nil:
			s.rows += t.write.InRows
			s.bytes += t.write.InBytes
			s.out += t.write.Rows
			s.emptyText += t.write.EmptyText
			s.spills += t.write.Spills
			s.hash.Add(t.write.Hash)
		}
	}
	return s
}

// written are sums over the tasks that write files.
func (st *stage) written() (rows, bytes, files, values int64) {
	for i := range st.tasks {
		if w := st.tasks[i].write; w != nil {
			rows += w.Rows
			bytes += w.Bytes
			files += w.Files
			values += w.Values
		}
	}
	return rows, bytes, files, values
}

// rowsAddUp reports whether, now that all tasks are done, as many rows were read as the plan said
// and as many written as were read.
func (j *job) rowsAddUp() bool {
	read, written := j.rows()
	return read == j.inRows && written == j.inRows
}

func (j *job) rows() (read, written int64) {
	for n, st := range j.stages {
		if len(j.shapes[n].Needs) == 0 {
			read += st.input().rows
		}
		w, _, _, _ := st.written()
		written += w
	}
	return read, written
}

func (j *job) rowsText() string {
	read, written := j.rows()
	return fmt.Sprintf("the input's footers say %d, read were %d, written %d", j.inRows, read, written)
}

// makeReceipt gathers what is known when a job ends, also when it failed.
func (j *job) makeReceipt(now time.Time, state model.JobState, f *model.Failure) *model.Receipt {
	r := &model.Receipt{
		Job: j.id, Name: j.spec.Name, State: state, Input: j.spec.Input, Out: j.spec.Out,
		Partitioning: j.spec.Partitioning().String(),
		Codec:        j.conf.Codec, Mode: j.spec.Mode, Submitted: j.submitted, Started: j.started, Ended: now,
		FilesIn: j.inFiles, FilesGone: j.published.Removed, Retries: j.retries, Verified: model.VerifyRows, Failure: f,
	}
	if j.published.ByContent {
		r.Verified = model.VerifyContent
	}
	var hot plan.Sizes
	for n, st := range j.stages {
		if len(j.shapes[n].Needs) == 0 {
			in := st.input()
			r.RowsIn += in.rows
			r.BytesIn += in.bytes
			r.EmptyText += in.emptyText
			r.ShuffleBytes += in.shuffleBytes
			r.Spills += in.spills
			r.Hash.Add(in.hash)
		}
		hot.Add(nil, st.sizes.Hot())
		if st.kind == model.TaskMap {
			r.MapTasks += len(st.tasks)
			continue
		}
		r.Tasks += len(st.tasks)
		j.addWritten(r, st, &hot)
	}
	r.HotKeys = plan.LargestValues(hot.Hot())
	return r
}

// addWritten adds the results of a stage that writes files. Values of different reduce tasks are
// different partitions; direct tasks may write files of the same one, so their sum is an upper bound.
func (j *job) addWritten(r *model.Receipt, st *stage, hot *plan.Sizes) {
	rows, bytes, files, values := st.written()
	r.RowsOut += rows
	r.BytesOut += bytes
	r.FilesOut += files
	r.Partitions += values
	for i := range st.tasks {
		w := st.tasks[i].write
		if w == nil {
			continue
		}
		if st.kind == model.TaskDirect {
			hot.Add(nil, w.Hot)
		}
		r.Fetch.LocalBytes += w.Fetch.LocalBytes
		r.Fetch.RemoteBytes += w.Fetch.RemoteBytes
		r.Fetch.Refetches += w.Fetch.Refetches
		for len(r.FileSizes) < len(w.Sizes) {
			r.FileSizes = append(r.FileSizes, 0)
		}
		for k, n := range w.Sizes {
			r.FileSizes[k] += n
		}
	}
}
