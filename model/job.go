package model

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Mode says what happens when the output already holds data.
type Mode string

// The modes of an output. ModeError is the default.
const (
	ModeError     Mode = "error"     // a non-empty output is a conflict
	ModeOverwrite Mode = "overwrite" // the data files that were there are replaced as a whole
)

// VerifyLevel says how much of the new output is checked before it is published.
type VerifyLevel string

// VerifyRows compares row counts by the footers and is always done; VerifyContent also reads the
// new files back and compares the content hash.
const (
	VerifyRows    VerifyLevel = "rows"
	VerifyContent VerifyLevel = "content"
)

// Defaults of a JobSpec, as Spark names and sets them where it has the same knob.
const (
	DefaultTargetFileSize     Size = 512 << 20
	DefaultRowGroupSize       Size = 64 << 20
	DefaultSplitSize          Size = 128 << 20
	DefaultOpenCost           Size = 4 << 20
	DefaultShufflePartitions       = 200
	DefaultBuckets                 = 1024
	DefaultMaxPartitionValues      = 10_000
	MaxPartitions                  = 1 << 20
)

// JobSpec is what the user asked for: the flags of `sluice repartition` and, under the same names
// in snake_case, the keys of a job file. Zero values mean the default; Normalize fills them in.
type JobSpec struct {
	// Name is a label for people; Key makes submitting idempotent: a second job with the same
	// name and key is the first one.
	Name string `json:"name,omitempty"`
	Key  string `json:"key,omitempty"`

	Input []string `json:"input"` // directories, globs or files
	Out   string   `json:"out"`   // output directory

	PartitionBy []string `json:"partition_by,omitempty"` // columns that become directories
	By          []string `json:"by,omitempty"`           // columns of the hash partitioner
	N           int      `json:"n,omitempty"`            // number of partitions, 0 = not given
	NoShuffle   bool     `json:"no_shuffle,omitempty"`   // every map task writes its own files

	TargetFileSize Size        `json:"target_file_size,omitempty"`
	RowGroupSize   Size        `json:"row_group_size,omitempty"`
	SplitSize      Size        `json:"split_size,omitempty"`
	OpenCost       Size        `json:"open_cost,omitempty"`
	Mode           Mode        `json:"mode,omitempty"`
	Compression    string      `json:"compression,omitempty"` // keep, zstd, snappy, gzip, lz4, none
	Verify         VerifyLevel `json:"verify,omitempty"`

	// Buckets is the number of buckets of the value partitioner, fixed before the first map task.
	Buckets int `json:"buckets,omitempty"`
}

// Compressions are the codec names of --compression.
var Compressions = []string{"keep", "zstd", "snappy", "gzip", "lz4", "none"}

// SpecError is a mistake in a JobSpec. Field is the key in the job file; the flag has the same
// name with '-' for '_'.
type SpecError struct {
	Field   string
	Problem string
}

func (e *SpecError) Error() string { return e.Field + ": " + e.Problem }

// Flag returns the flag's spelling of the field.
func (e *SpecError) Flag() string {
	if e.Field == "n" {
		return "-n"
	}
	return "--" + strings.ReplaceAll(e.Field, "_", "-")
}

// Normalize fills in defaults. It does not look at the outside world.
func (s *JobSpec) Normalize() {
	set := func(v *Size, d Size) {
		if *v == 0 {
			*v = d
		}
	}
	set(&s.TargetFileSize, DefaultTargetFileSize)
	set(&s.RowGroupSize, DefaultRowGroupSize)
	set(&s.SplitSize, DefaultSplitSize)
	set(&s.OpenCost, DefaultOpenCost)
	if s.Mode == "" {
		s.Mode = ModeError
	}
	if s.Compression == "" {
		s.Compression = "keep"
	}
	if s.Verify == "" {
		s.Verify = VerifyRows
	}
	if s.Buckets == 0 {
		s.Buckets = DefaultBuckets
	}
	if s.Name == "" {
		s.Name = filepath.Base(s.Out)
	}
}

// Validate reports every mistake that can be seen without touching files; each is a *SpecError,
// several are joined. Call Normalize first.
func (s *JobSpec) Validate() error {
	var errs []error
	bad := func(field, format string, a ...any) {
		errs = append(errs, &SpecError{Field: field, Problem: fmt.Sprintf(format, a...)})
	}
	if len(s.Input) == 0 {
		bad("input", "name at least one file, directory or glob to read")
	}
	if s.Out == "" {
		bad("out", "name the directory to write")
	}
	if s.N < 0 || s.N > MaxPartitions {
		bad("n", "%d partitions: want 1 to %d", s.N, MaxPartitions)
	}
	if s.NoShuffle && (s.N > 0 || len(s.By) > 0) {
		bad("no_shuffle", "cannot be combined with -n or --by, which need a shuffle")
	}
	for field, cols := range map[string][]string{"partition_by": s.PartitionBy, "by": s.By} {
		for i, c := range cols {
			if c == "" {
				bad(field, "empty column name")
			} else if slices.Contains(cols[:i], c) {
				bad(field, "column %q is named twice", c)
			}
		}
	}
	if len(s.PartitionBy) == 0 && len(s.By) == 0 && s.N == 0 && !s.NoShuffle {
		bad("partition_by", "nothing says how to partition: give --partition-by, --by, -n or --no-shuffle")
	}
	if s.TargetFileSize < 64<<10 {
		bad("target_file_size", "%s is too small: want at least 64KiB", s.TargetFileSize)
	}
	if s.RowGroupSize < 64<<10 {
		bad("row_group_size", "%s is too small: want at least 64KiB", s.RowGroupSize)
	}
	if s.SplitSize < 64<<10 {
		bad("split_size", "%s is too small: want at least 64KiB", s.SplitSize)
	}
	if s.Mode != ModeError && s.Mode != ModeOverwrite {
		bad("mode", "%q: want error or overwrite", s.Mode)
	}
	if !slices.Contains(Compressions, s.Compression) {
		bad("compression", "%q: want one of %s", s.Compression, strings.Join(Compressions, ", "))
	}
	if s.Verify != VerifyRows && s.Verify != VerifyContent {
		bad("verify", "%q: want rows or content", s.Verify)
	}
	if s.Buckets < 1 || s.Buckets > 1<<16 {
		bad("buckets", "%d: want 1 to 65536", s.Buckets)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// PartitionerKind says how a row finds its number.
type PartitionerKind string

// The partitioners. With PartitionBy columns beside it, a partition is the pair (number, value).
const (
	PartitionValue      PartitionerKind = "value"
	PartitionHash       PartitionerKind = "hash"
	PartitionRoundRobin PartitionerKind = "round_robin"
	PartitionNone       PartitionerKind = "none"
)

// Partitioning is how the rows of a shuffle find their partition.
type Partitioning struct {
	Kind        PartitionerKind `json:"kind"`
	N           int             `json:"n,omitempty"`            // partitions of hash and round_robin
	By          []string        `json:"by,omitempty"`           // columns of hash
	PartitionBy []string        `json:"partition_by,omitempty"` // columns that become directories
	Buckets     int             `json:"buckets,omitempty"`      // buckets of value
}

// NumBuckets is the size of the bucket space: every PartitionKey.Bucket is below it.
func (p Partitioning) NumBuckets() int {
	switch p.Kind {
	case PartitionHash, PartitionRoundRobin:
		return p.N
	case PartitionValue:
		return p.Buckets
	}
	return 1
}

func (p Partitioning) String() string {
	var s string
	switch p.Kind {
	case PartitionHash:
		s = fmt.Sprintf("hash(%d, %s)", p.N, strings.Join(p.By, ", "))
	case PartitionRoundRobin:
		s = fmt.Sprintf("round_robin(%d)", p.N)
	case PartitionNone:
		s = "none"
	}
	if len(p.PartitionBy) > 0 {
		v := "value(" + strings.Join(p.PartitionBy, ", ") + ")"
		if s == "" {
			return v
		}
		return s + " x " + v
	}
	return s
}

// Partitioning derives the partitioner from the flags (design part 9).
func (s *JobSpec) Partitioning() Partitioning {
	p := Partitioning{PartitionBy: s.PartitionBy}
	switch {
	case s.NoShuffle:
		p.Kind = PartitionNone
	case len(s.By) > 0:
		p.Kind, p.By, p.N = PartitionHash, s.By, s.N
		if p.N == 0 {
			p.N = DefaultShufflePartitions
		}
	case s.N > 0:
		p.Kind, p.N = PartitionRoundRobin, s.N
	default:
		p.Kind, p.Buckets = PartitionValue, s.Buckets
	}
	return p
}
