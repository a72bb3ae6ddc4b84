package sink

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/sluice-engine/sluice/model"
)

// naming makes the names of an attempt's files.
type naming struct {
	staging string
	attempt model.AttemptID
	uuid    string
	suffix  string
	// numbered says that the part number is the partition's own number, not the task's index.
	numbered bool
}

// fileSuffix is what Spark puts before ".parquet" for a codec.
var fileSuffix = map[string]string{
	"none": "", "snappy": ".snappy", "zstd": ".zstd", "gzip": ".gz", "lz4": ".lz4raw",
}

func newNaming(c model.JobConf, attempt model.AttemptID) naming {
	kind := c.Partitioning.Kind
	return naming{
		staging: c.StagingDir, attempt: attempt, uuid: c.UUID, suffix: fileSuffix[c.Codec],
		numbered: kind == model.PartitionHash || kind == model.PartitionRoundRobin,
	}
}

// staged is the path of the attempt's file number n. No two attempts share a name.
func (n naming) staged(number int64) string {
	return filepath.Join(n.staging, fmt.Sprintf("%s-%d.tmp", n.attempt, number))
}

func (n naming) manifest() string {
	return filepath.Join(n.staging, n.attempt.String()+".manifest.tmp")
}

// final is the path below the output directory of a partition's file number count. It is the same
// for every attempt of a task.
//
// Two tasks never make the same name: a partition belongs to one task, and where several partitions
// share a directory their numbers differ. A later version that divides one partition among tasks
// has to give each of them a range of counts.
func (n naming) final(key model.PartitionKey, count int) string {
	number := n.attempt.Task.Index
	if n.numbered {
		number = int(key.Bucket)
	}
	return path.Join(key.Path, fmt.Sprintf("part-%05d-%s.c%03d%s.parquet", number, n.uuid, count, n.suffix))
}
