package read

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/fetch"
	"github.com/sluice-engine/sluice/shuffle/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// segment writes a map output that holds data as its only piece.
func segment(t *testing.T, attempt model.AttemptID, data []byte) model.Segment {
	t.Helper()
	w, err := store.NewWriter(vfs.OS, filepath.Join(t.TempDir(), "map"), attempt, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{Bucket: 1}, data, 5); err != nil {
		t.Fatal(err)
	}
	seg, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return seg
}

func TestPieceThatWasWrittenWrongNamesItsMapAttempt(t *testing.T) {
	root, err := schema.NewGroupNode("schema", arrowparquet.Repetitions.Required,
		schema.FieldList{schema.NewInt32Node("n", arrowparquet.Repetitions.Required, -1)}, -1)
	if err != nil {
		t.Fatal(err)
	}
	footer, err := parquet.EncodeSchema(schema.NewSchema(root), nil)
	if err != nil {
		t.Fatal(err)
	}
	attempt := model.AttemptID{Task: model.TaskID{Job: "j", Index: 12}, Number: 3}
	staging := t.TempDir()
	// The checksum of the index is right: what is wrong was wrong when it was written.
	_, err = Run(t.Context(), Config{
		FS: vfs.OS, Fetch: fetch.Options{FS: vfs.OS, HostID: "h"}, Range: model.ReduceRange{Hi: 4},
		Conf: model.JobConf{
			InputSchema: footer, Codec: "none", StagingDir: staging, TargetFileBytes: 1 << 20, RowGroupBytes: 1 << 20,
			Partitioning: model.Partitioning{Kind: model.PartitionHash, N: 4, By: []string{"n"}},
		},
		Sources: []model.MapSource{{Attempt: attempt, HostID: "h", Segments: []model.Segment{
			segment(t, attempt, []byte("these bytes are no piece")),
		}}},
	})
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonCorruption || !strings.Contains(err.Error(), "map output j.0.12.3: partition 1") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(staging)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestWritersFitIntoMemory(t *testing.T) {
	for _, c := range []struct {
		threads        int
		memory, groups int64
		want           int
	}{
		{0, 0, 64, 1}, {4, 0, 64, 4}, {4, 512, 64, 4}, {4, 300, 64, 2}, {4, 1, 64, 1}, {4, 100, 0, 4},
	} {
		cfg := Config{Threads: c.threads, MemoryBytes: c.memory, Conf: model.JobConf{RowGroupBytes: c.groups}}
		if got := cfg.writers(); got != c.want {
			t.Errorf("%d threads, %d bytes: %d writers, want %d", c.threads, c.memory, got, c.want)
		}
	}
}
