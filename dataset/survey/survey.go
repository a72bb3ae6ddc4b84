// Package survey looks at the input of a job before anything runs: it lists files, reads every footer
// once, and turns what it found into a plan.
package survey

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
	"github.com/sluice-engine/sluice/shuffle/partition"
)

// footersAtOnce limits the files that are open while footers are read.
const footersAtOnce = 32

// piecesPerUnit is how many pieces make a row group or a file, whichever is smaller: files end at
// cuts, so this bounds how far their sizes are from what was asked.
const piecesPerUnit = 8

// Survey is what the footers of an input say.
type Survey struct {
	Spec   model.JobSpec // with absolute paths
	Files  []plan.File
	Schema *schema.Schema
	// KeyValue is the key-value metadata of the first file; it is kept in the output.
	KeyValue metadata.KeyValueMetadata

	Rows, Bytes int64
	// LeafBytes are the compressed bytes of each leaf over all files.
	LeafBytes []int64

	fs         vfs.FS
	codecBytes map[compress.Compression]int64
}

// Look lists the input and reads every footer. The error names the file, the column or the flag.
func Look(ctx context.Context, fsys vfs.FS, spec model.JobSpec) (*Survey, error) {
	spec, err := absolute(spec)
	if err != nil {
		return nil, err
	}
	found, err := parquet.List(ctx, fsys, spec.Input)
	if err != nil {
		return nil, err
	}
	s := &Survey{Spec: spec, fs: fsys, Files: make([]plan.File, len(found)), codecBytes: map[compress.Compression]int64{}}
	var mu sync.Mutex // guards the totals while footers are read
	first, err := s.readFooter(0, found[0], &mu)
	if err != nil {
		return nil, err
	}
	s.Schema, s.KeyValue = first.schema, first.kv
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(footersAtOnce)
	for i := 1; i < len(found); i++ {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := s.readFooter(i, found[i], &mu)
			if err != nil {
				return err
			}
			var diff *parquet.Mismatch
			if err := parquet.Compatible(s.Schema, f.schema); errors.As(err, &diff) {
				return model.Failf(model.ReasonUser, "the input's files have different schemas: %s", diff.Between(found[0].Path, found[i].Path))
			} else if err != nil {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s, s.checkColumns()
}

// absolute makes the paths absolute and refuses an output that lies inside an input or around one.
func absolute(spec model.JobSpec) (model.JobSpec, error) {
	out, err := filepath.Abs(spec.Out)
	if err != nil {
		return spec, model.Failf(model.ReasonUser, "out: %w", err)
	}
	spec.Out = out
	inputs := make([]string, len(spec.Input))
	for i, in := range spec.Input {
		if inputs[i], err = filepath.Abs(in); err != nil {
			return spec, model.Failf(model.ReasonUser, "input: %w", err)
		}
		if out != inputs[i] && (below(inputs[i], out) || below(out, inputs[i])) {
			return spec, model.Failf(model.ReasonUser, "out %s and input %s lie inside each other: choose an --out beside the input", out, inputs[i])
		}
		if out == inputs[i] {
			return spec, model.Failf(model.ReasonUser, "out %s is the input: choose another --out", out)
		}
	}
	spec.Input = inputs
	return spec, nil
}

func below(dir, path string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

type footer struct {
	schema *schema.Schema
	kv     metadata.KeyValueMetadata
}

// readFooter opens one file and books what its footer says.
func (s *Survey) readFooter(i int, found parquet.Found, mu *sync.Mutex) (_ footer, err error) {
	f, err := parquet.Open(s.fs, found.Path)
	if err != nil {
		return footer{}, err
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	file := plan.File{Path: found.Path, RelPath: found.RelPath, Size: f.Size(), ModTime: f.ModTime()}
	leaves := make([]int64, f.Schema().NumColumns())
	codecs := map[compress.Compression]int64{}
	for rg := range f.NumRowGroups() {
		g := f.RowGroup(rg)
		file.RowGroups = append(file.RowGroups, plan.RowGroup{Start: f.RowGroupStart(rg), Bytes: g.Bytes, Rows: g.Rows})
		for l, leaf := range g.Leaves {
			leaves[l] += leaf.Compressed
			codecs[leaf.Codec] += leaf.Compressed
		}
	}
	mu.Lock()
	defer mu.Unlock()
	s.Files[i] = file
	if s.LeafBytes == nil {
		s.LeafBytes = make([]int64, len(leaves))
	}
	for l := range min(len(leaves), len(s.LeafBytes)) {
		s.LeafBytes[l] += leaves[l]
	}
	for c, n := range codecs {
		s.codecBytes[c] += n
	}
	for _, g := range file.RowGroups {
		s.Rows += g.Rows
		s.Bytes += g.Bytes
	}
	return footer{schema: f.Schema(), kv: f.KeyValue()}, nil
}

// checkColumns finds out now what every task would otherwise find out: that a column is missing or
// cannot be partitioned by.
func (s *Survey) checkColumns() error {
	if _, err := partition.New(s.Spec.Partitioning(), s.Schema); err != nil {
		return err
	}
	out, _, err := parquet.Project(s.Schema, s.Spec.PartitionBy)
	if err != nil {
		return err
	}
	if out.NumColumns() == 0 {
		return model.Failf(model.ReasonUser, "partition_by: no column would be left for the files: leave at least one out")
	}
	return nil
}

// Codec resolves "keep": the input's own codec, by bytes; one that is not written any more becomes zstd.
func (s *Survey) Codec() string {
	if s.Spec.Compression != "keep" {
		return s.Spec.Compression
	}
	best, most := compress.Codecs.Snappy, int64(-1)
	for c := compress.Codecs.Uncompressed; c <= compress.Codecs.Lz4Raw; c++ {
		if n, ok := s.codecBytes[c]; ok && n > most {
			best, most = c, n
		}
	}
	switch best {
	case compress.Codecs.Uncompressed:
		return "none"
	case compress.Codecs.Snappy:
		return "snappy"
	case compress.Codecs.Gzip:
		return "gzip"
	case compress.Codecs.Lz4, compress.Codecs.Lz4Raw:
		return "lz4"
	}
	return "zstd"
}

// outBytes estimates the compressed bytes of the output columns: the input's without the partition
// columns.
func (s *Survey) outBytes() (int64, error) {
	_, leaves, err := parquet.Project(s.Schema, s.Spec.PartitionBy)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, l := range leaves {
		n += s.LeafBytes[l]
	}
	return n, nil
}

// Job plans the job: its splits and what every task must know. The caller claims the output and fills
// in Out, StagingDir, ShareToken and Old.
func (s *Survey) Job(job model.JobID, uuid string, slots int, execution model.Execution) (plan.Job, error) {
	sc, err := parquet.EncodeSchema(s.Schema, s.KeyValue)
	if err != nil {
		return plan.Job{}, fmt.Errorf("schema of %s: %w", s.Files[0].Path, err)
	}
	outBytes, err := s.outBytes()
	if err != nil {
		return plan.Job{}, err
	}
	j := plan.Job{
		Conf: model.JobConf{
			Job: job, UUID: uuid, InputSchema: sc, Partitioning: s.Spec.Partitioning(), Codec: s.Codec(),
			Execution:       execution,
			TargetFileBytes: int64(s.Spec.TargetFileSize), RowGroupBytes: int64(s.Spec.RowGroupSize),
			PieceRows: s.pieceRows(outBytes, execution), Out: s.Spec.Out,
		},
		Splits:     plan.Splits(s.Files, s.packing(slots)),
		InputFiles: int64(len(s.Files)), InputRows: s.Rows, InputBytes: s.Bytes,
	}
	return j, nil
}

func (s *Survey) packing(slots int) plan.Packing {
	return plan.Packing{SplitSize: int64(s.Spec.SplitSize), OpenCost: int64(s.Spec.OpenCost), Slots: slots}
}

// pieceRows is how many rows make about an eighth of a row group or of a file. A fused job makes no
// piece smaller than a row group when files have room for enough of them: such a piece goes to its
// file as it is.
func (s *Survey) pieceRows(outBytes int64, execution model.Execution) int64 {
	group, target := int64(s.Spec.RowGroupSize), int64(s.Spec.TargetFileSize)
	unit := min(group, target) / piecesPerUnit
	if execution == model.ExecutionFused && target/piecesPerUnit >= group {
		unit = group
	}
	perRow := max(float64(outBytes)/float64(max(s.Rows, 1)), 0.1)
	return max(int64(float64(unit)/perRow), 1)
}
