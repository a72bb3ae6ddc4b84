package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/model"
)

// Kind says how much a figure can be trusted.
type Kind string

// The kinds of figures.
const (
	Exact      Kind = "exact"
	Estimate   Kind = "estimate"
	UpperBound Kind = "upper_bound"
)

// Figure is a number of a plan.
type Figure struct {
	Value int64 `json:"value"`
	Kind  Kind  `json:"kind"`
}

// ColumnValues says how many different values a partition column has, null included.
type ColumnValues struct {
	Column   string `json:"column"`
	Distinct int64  `json:"distinct"`
	Exact    bool   `json:"exact"`
}

// ExplainInput is what an explanation is made from.
type ExplainInput struct {
	Spec   model.JobSpec
	Job    Job
	Values []ColumnValues
	// OutBytes are the compressed bytes of the columns that are written, as they lie in the input.
	OutBytes int64
	Threads  int // of all executors together
}

// Explanation says what a job would do, before it runs.
type Explanation struct {
	Input        []string        `json:"input"`
	Out          string          `json:"out"`
	Partitioning string          `json:"partitioning"`
	Execution    model.Execution `json:"execution"` // how rows get to their files
	Codec        string          `json:"codec"`
	FilesIn      Figure          `json:"files_in"`
	RowsIn       Figure          `json:"rows_in"`
	BytesIn      Figure          `json:"bytes_in"`
	Splits       Figure          `json:"splits"` // map tasks
	LargestSplit Figure          `json:"largest_split_bytes"`
	Values       []ColumnValues  `json:"partition_values,omitempty"`
	Partitions   Figure          `json:"partitions"` // different directories, or numbers
	WriteTasks   Figure          `json:"write_tasks"`
	ShuffleBytes Figure          `json:"shuffle_bytes"`
	FilesOut     Figure          `json:"files_out"`
	BytesOut     Figure          `json:"bytes_out"`
	FileBytes    Figure          `json:"average_file_bytes"`
	Warnings     []Warning       `json:"warnings,omitempty"`
}

// Warning is a reason to think again, and what to do instead.
type Warning struct {
	Text   string `json:"text"`
	Better string `json:"better,omitempty"` // a command line
}

// Explain works out the figures of a plan. It changes nothing and looks at nothing.
func Explain(in ExplainInput) Explanation {
	p := in.Job.Conf.Partitioning
	e := Explanation{
		Input: in.Spec.Input, Out: in.Spec.Out, Partitioning: p.String(), Execution: model.ExecutionStaged,
		Codec: in.Job.Conf.Codec, Values: in.Values,
		FilesIn: Figure{in.Job.InputFiles, Exact}, RowsIn: Figure{in.Job.InputRows, Exact}, BytesIn: Figure{in.Job.InputBytes, Exact},
		Splits: Figure{int64(len(in.Job.Splits)), Exact},
	}
	splits := in.Job.Splits
	if in.Job.Conf.Execution == model.ExecutionFused {
		e.Execution = model.ExecutionFused
		splits = Fuse(in.Job.Conf, splits)
		e.Splits = Figure{int64(len(splits)), Exact}
	}
	for _, s := range splits {
		e.LargestSplit = Figure{max(e.LargestSplit.Value, s.Bytes), Exact}
	}
	e.BytesOut = Figure{in.OutBytes, Estimate}
	distinct, kind := distinctValues(in.Values, in.Job.InputRows)
	full := in.OutBytes / max(in.Job.Conf.TargetFileBytes, 1) // files that are filled to the target
	switch p.Kind {
	case model.PartitionValue:
		e.Partitions = Figure{distinct, kind}
		e.FilesOut = Figure{distinct + full, weaken(kind, full > 0)}
	case model.PartitionHash, model.PartitionRoundRobin:
		n := int64(p.N)
		e.Partitions, e.FilesOut = numbered(n, distinct, kind, full, in)
	case model.PartitionNone:
		n := max(e.Splits.Value, 1)
		e.Partitions = Figure{distinct, kind}
		e.FilesOut = Figure{min(n*distinct, max(in.Job.InputRows, 1)) + full, UpperBound}
		if len(p.PartitionBy) == 0 {
			e.Partitions = Figure{1, Exact}
			e.FilesOut = Figure{n + full, Estimate}
		}
	}
	e.shuffle(p, in)
	if in.Job.InputRows == 0 {
		e.Partitions, e.FilesOut = Figure{0, Exact}, Figure{0, Exact}
	}
	e.FileBytes = Figure{e.BytesOut.Value / max(e.FilesOut.Value, 1), Estimate}
	e.warn(p, in, distinct, full)
	return e
}

// numbered is the number of partitions and files of hash(n) or round_robin(n), with or without values.
func numbered(n, distinct int64, kind Kind, full int64, in ExplainInput) (partitions, files Figure) {
	rows := in.Job.InputRows
	if len(in.Values) == 0 {
		cells := min(n, rows)
		return Figure{cells, UpperBound}, Figure{cells + full, Estimate}
	}
	cells := min(n*distinct, rows)
	if kind == Exact {
		kind = UpperBound // a value may be missing in some of the numbers
	}
	return Figure{cells, kind}, Figure{cells + full, kind}
}

// shuffle fills in what crosses the shuffle and how many tasks write.
func (e *Explanation) shuffle(p model.Partitioning, in ExplainInput) {
	if p.Kind == model.PartitionNone || e.Execution == model.ExecutionFused {
		e.ShuffleBytes = Figure{0, Exact}
		e.WriteTasks = e.Splits
		return
	}
	e.ShuffleBytes = Figure{in.OutBytes, Estimate}
	r := ReduceInput{Buckets: []model.BucketSize{{Bytes: in.OutBytes}}, TargetFileBytes: in.Job.Conf.TargetFileBytes, Threads: in.Threads}
	tasks := in.OutBytes/r.TaskBytes() + 1
	e.WriteTasks = Figure{max(min(tasks, e.Partitions.Value), 1), Estimate}
}

// distinctValues combines the partition columns: the product is an upper bound, and never above the
// rows.
func distinctValues(vs []ColumnValues, rows int64) (int64, Kind) {
	n, kind := int64(1), Exact
	for _, v := range vs {
		if !v.Exact {
			kind = Estimate
		}
		if v.Distinct > 0 && n > (1<<62)/v.Distinct {
			n = 1 << 62
			continue
		}
		n *= max(v.Distinct, 1)
	}
	if len(vs) > 1 && kind == Exact {
		kind = UpperBound
	}
	return max(min(n, rows), 1), kind
}

func weaken(k Kind, when bool) Kind {
	if when {
		return Estimate
	}
	return k
}

// tooManyFiles is the factor over what a value partitioning would write above which a plan warns, and
// minFiles the number below which it never does.
const (
	tooManyFiles = 2
	minFiles     = 100
)

func (e *Explanation) warn(p model.Partitioning, in ExplainInput, distinct, full int64) {
	better := distinct + full
	if len(p.PartitionBy) > 0 && p.Kind != model.PartitionValue && e.FilesOut.Value > minFiles && e.FilesOut.Value > tooManyFiles*better {
		n, what := int64(p.N), "partitions"
		if p.Kind == model.PartitionNone {
			n, what = e.Splits.Value, "map tasks"
		}
		e.Warnings = append(e.Warnings, Warning{
			Text: fmt.Sprintf("%s %s x %s values of %s = about %s files, %s each on average: every one of the %s writes its own file for every value it holds",
				count(n), what, count(distinct), strings.Join(p.PartitionBy, ", "), count(e.FilesOut.Value), model.Size(e.FileBytes.Value), what),
			Better: fmt.Sprintf("%s   # about %s files", betterCommand(in.Spec), count(better)),
		})
	}
	if p.Kind == model.PartitionValue && distinct > model.DefaultMaxPartitionValues {
		e.Warnings = append(e.Warnings, Warning{
			Text: fmt.Sprintf("%s values of %s make as many directories, %s each on average: readers will open a file per value",
				count(distinct), strings.Join(p.PartitionBy, ", "), model.Size(e.FileBytes.Value)),
		})
	}
}

// betterCommand is the command that lays out the same directories without the factor.
func betterCommand(s model.JobSpec) string {
	parts := append([]string{"sluice repartition"}, quoteAll(s.Input)...)
	parts = append(parts, "--partition-by", quote(strings.Join(s.PartitionBy, ",")), "--out", quote(s.Out))
	return strings.Join(parts, " ")
}

func quoteAll(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = quote(s)
	}
	return out
}

// quote quotes a word for a shell when it has to be.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./=,:@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// count prints a number with thousands separated.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
