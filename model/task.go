package model

import (
	"fmt"
	"strconv"
)

// TaskKind says which operator a task runs.
type TaskKind string

// Map reads a split and writes a map output; Reduce reads a range of partitions from all map
// outputs and stages files; Direct reads a split and stages files without a shuffle.
const (
	TaskMap    TaskKind = "map"
	TaskReduce TaskKind = "reduce"
	TaskDirect TaskKind = "direct"
)

// SplitChunk is a part of one input file: whole row groups.
type SplitChunk struct {
	Path      string `json:"path"`     // absolute
	RelPath   string `json:"rel_path"` // below the input it was found under; part of round robin's start
	FileSize  int64  `json:"file_size"`
	ModTime   int64  `json:"mod_time"` // Unix nanoseconds; with FileSize tells whether the file changed
	RowGroups []int  `json:"row_groups"`
	Rows      int64  `json:"rows"`
	Bytes     int64  `json:"bytes"` // compressed bytes of the row groups
}

// Split is what one map task reads.
type Split struct {
	Index  int          `json:"index"`
	Chunks []SplitChunk `json:"chunks"`
	Rows   int64        `json:"rows"`
	Bytes  int64        `json:"bytes"`
}

// Execution says how rows get from their split to their file.
type Execution string

// Staged: map tasks write map outputs, reduce tasks fetch them and write files. Fused: one task of one
// process does both, and rows stay in its memory as far as they fit.
const (
	ExecutionStaged Execution = "staged"
	ExecutionFused  Execution = "fused"
)

// JobConf is what every task of a job must know. It is fixed by the plan.
type JobConf struct {
	Job  JobID  `json:"job"`
	UUID string `json:"uuid"` // in the names of output files

	// InputSchema is a Parquet footer (Thrift FileMetaData, compact protocol) without row groups:
	// the schema that all input files have, and the key-value metadata to keep.
	InputSchema  []byte       `json:"input_schema"`
	Partitioning Partitioning `json:"partitioning"`
	Codec        string       `json:"codec"` // zstd, snappy, gzip, lz4, none
	// Execution is ExecutionStaged or ExecutionFused; empty, as in old journals, means staged.
	Execution Execution `json:"execution,omitempty"`

	TargetFileBytes int64 `json:"target_file_bytes"`
	RowGroupBytes   int64 `json:"row_group_bytes"`
	// PieceRows is the number of rows after which a partition is cut: about
	// min(RowGroupBytes, TargetFileBytes)/8 of estimated encoded bytes; fused, a whole row group where
	// a file holds at least 8.
	PieceRows int64 `json:"piece_rows"`

	Out        string `json:"out"`         // absolute output directory
	StagingDir string `json:"staging_dir"` // absolute; attempts stage files below it
	// ShareToken is the content of StagingDir/share-token.tmp. An executor that cannot read it
	// does not see the same directory as the coordinator.
	ShareToken string `json:"share_token"`
}

// TaskSpec is one task of the plan. Exactly one of Split and Range is set.
type TaskSpec struct {
	Task  TaskID       `json:"task"`
	Kind  TaskKind     `json:"kind"`
	Split *Split       `json:"split,omitempty"`
	Range *ReduceRange `json:"range,omitempty"`
}

// ReduceRange is what one reduce task reads: the partitions of the buckets Lo <= b < Hi without
// the ones in Except, or, when Only is set, that one partition.
type ReduceRange struct {
	Lo     uint32         `json:"lo"`
	Hi     uint32         `json:"hi"`
	Except []PartitionKey `json:"except,omitempty"` // ascending
	Only   *PartitionKey  `json:"only,omitempty"`
	Rows   int64          `json:"rows"`  // as the map outputs reported
	Bytes  int64          `json:"bytes"` // as the map outputs reported
}

// Assignment tells an executor to run one attempt.
type Assignment struct {
	Attempt AttemptID
	Spec    TaskSpec
	Conf    JobConf
	Sources []MapSource // of a reduce task: every map output, in order of task index
	Threads int         // how many threads the attempt may use
}

// MapSource says where one map output can be read.
type MapSource struct {
	Attempt  AttemptID   `json:"attempt"`
	Holder   Incarnation `json:"holder"`
	Addr     string      `json:"addr"`    // block server, host:port
	HostID   string      `json:"host_id"` // equal ids see the same local disk
	Segments []Segment   `json:"segments"`
}

// Segment is one sealed pair of data file and index of a map attempt. An attempt that ran out of
// its memory budget seals more than once; its segments are read in order and never merged.
type Segment struct {
	DataPath  string `json:"data_path"` // absolute, on the holder's disk
	IndexPath string `json:"index_path"`
	DataBytes int64  `json:"data_bytes"`
	// IndexBytes and IndexCRC (CRC32C) let a reader tell that it has the index it was told of.
	IndexBytes int64  `json:"index_bytes"`
	IndexCRC   uint32 `json:"index_crc"`
}

// BucketSize is what a map output holds for one bucket.
type BucketSize struct {
	Bucket uint32 `json:"bucket"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// ValueSize is what a map output holds for one hot partition.
type ValueSize struct {
	Key   PartitionKey `json:"key"`
	Rows  int64        `json:"rows"`
	Bytes int64        `json:"bytes"`
}

// HotFraction is the part of a map output's bytes above which a partition is reported by itself.
const HotFraction = 1.0 / 4096

// MapOutput is what a finished map attempt reports.
type MapOutput struct {
	Attempt   AttemptID    `json:"attempt"`
	Segments  []Segment    `json:"segments"`
	InRows    int64        `json:"in_rows"`
	InBytes   int64        `json:"in_bytes"` // compressed bytes read
	Rows      int64        `json:"rows"`
	Bytes     int64        `json:"bytes"`      // data bytes of all segments
	Buckets   []BucketSize `json:"buckets"`    // ascending, without empty ones
	Hot       []ValueSize  `json:"hot"`        // ascending by key
	Values    int64        `json:"values"`     // different partitions in this output
	EmptyText int64        `json:"empty_text"` // "" in a partition column; comes back as null
	Spills    int          `json:"spills"`     // seals forced by the memory budget
	Hash      ContentHash  `json:"hash"`
}

// WriteOutput is what a finished reduce or direct attempt reports: files it staged, listed in a
// manifest beside them.
type WriteOutput struct {
	Attempt  AttemptID   `json:"attempt"`
	Manifest ManifestRef `json:"manifest"`
	InRows   int64       `json:"in_rows"`  // direct tasks: rows read from input
	InBytes  int64       `json:"in_bytes"` // direct tasks: bytes read from input
	Files    int64       `json:"files"`
	Rows     int64       `json:"rows"`
	Bytes    int64       `json:"bytes"`
	Values   int64       `json:"values"` // different partitions written
	// Sizes counts files by size: Sizes[i] files have 2^i <= bytes < 2^(i+1).
	Sizes     []int64       `json:"sizes"`
	Hash      ContentHash   `json:"hash"` // direct tasks: of the rows read
	Hot       []ValueSize   `json:"hot"`  // largest partitions written, at most MaxHotKeys, by bytes
	EmptyText int64         `json:"empty_text"`
	Fetch     FetchCounters `json:"fetch"`
	Spills    int           `json:"spills,omitempty"` // fused: writes to scratch forced by the memory budget
}

// MaxHotKeys is how many hot keys a task reports and a receipt shows.
const MaxHotKeys = 16

// FetchCounters say how a reduce task got its blocks.
type FetchCounters struct {
	LocalBytes  int64 `json:"local_bytes"`  // read from files of this host
	RemoteBytes int64 `json:"remote_bytes"` // pulled over gRPC
	Refetches   int64 `json:"refetches"`    // blocks asked for again after a bad checksum
}

// ManifestRef names a manifest: a file in the staging directory that lists staged files, one JSON
// object of type StagedFile per line.
type ManifestRef struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	CRC   uint32 `json:"crc"` // CRC32C of the file
}

// StagedFile is one line of a manifest.
type StagedFile struct {
	Staged string `json:"staged"` // absolute path; ends in .tmp
	Final  string `json:"final"`  // below the output directory
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// Progress of a running attempt; it is a hint and never journaled.
type Progress struct {
	Attempt AttemptID
	Rows    int64 // rows read (map, direct) or written (reduce)
	Bytes   int64 // compressed bytes read (map, direct) or written (reduce)
	Files   int64
}

// ContentHash is the hash of a set of rows that does not depend on their order: sums modulo 2^64
// of Spark's xxhash64 (design 5.8). Hashes of disjoint row sets add up.
type ContentHash struct {
	Rows    int64        `json:"rows"`
	RowSum  HashSum      `json:"row_sum"`
	Columns []ColumnHash `json:"columns"`
}

// ColumnHash is the sum of the cell hashes of one leaf column.
type ColumnHash struct {
	Name string  `json:"name"`
	Sum  HashSum `json:"sum"`
}

// HashSum is a sum of hashes modulo 2^64. As JSON it is text of 16 hexadecimal digits, because many
// readers of JSON lose digits of numbers above 2^53.
type HashSum uint64

func (h HashSum) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText writes the sum in hexadecimal.
func (h HashSum) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *HashSum) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil {
		return fmt.Errorf("hash %q: want up to 16 hexadecimal digits", b)
	}
	*h = HashSum(v)
	return nil
}

// Add adds the hash of other rows. Both must have the same columns in the same order; an empty
// hash takes over the other's columns.
func (h *ContentHash) Add(o ContentHash) {
	h.Rows += o.Rows
	h.RowSum += o.RowSum
	if len(h.Columns) == 0 {
		h.Columns = append([]ColumnHash(nil), o.Columns...)
		return
	}
	for i := range o.Columns {
		if i < len(h.Columns) {
			h.Columns[i].Sum += o.Columns[i].Sum
		}
	}
}
