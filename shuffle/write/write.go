// Package write is the map operator: it reads a split, sends every row to its partition one column
// at a time, and seals the partitions into map outputs (Run, staged execution) or hands them to a
// sink as they fill (Fuse, fused execution).
//
// A split is read in runs: batches of rows of many row groups and files together. Of each run the
// key columns are read first; they give every row its partition and every batch a counting sort.
// Then each output leaf is one unit of work: it is read over all batches of the run and appended
// to the open chunks of its (partition, leaf) pairs. All leaves of a partition are cut at the same
// rows, which makes pieces; pieces wait in the page store until its destination takes them.
//
// What is written does not depend on the number of threads: an open chunk is fed by its leaf's
// unit only, in the order of the batches, and where a run ends is decided from sizes alone.
package write

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/contenthash"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/shuffle/partition"
)

// Limits of a run; see the fields of Config with the same names.
const (
	DefaultBatchRows = 128 << 10
	DefaultRunRows   = 2 << 20
	DefaultRunFiles  = 128

	// defaultMemory is the budget when none is given.
	defaultMemory = 512 << 20
	// defaultPieceRows is where a partition is cut when the plan does not say.
	defaultPieceRows = 1 << 20
	// minBatchRows keeps the fixed cost of a batch small against its rows, also with no memory left.
	minBatchRows = 1024
)

// Config says what one attempt reads and how much it may use.
type Config struct {
	Conf    model.JobConf
	Split   model.Split
	Attempt model.AttemptID
	FS      vfs.FS
	// Dir is the scratch directory of this attempt. It is made when it is missing; on failure the
	// attempt's files in it are removed.
	Dir string
	// Threads is how many leaves are worked on at once; at least 1.
	Threads int
	// MemoryBytes is the budget of the page store and the run, 512 MiB when 0. When the page store
	// holds more than half of it after a run, everything is sealed, or some of it by Fuse. Too small a
	// budget costs speed (many seals, small pages), never correctness.
	MemoryBytes int64
	// Progress, when set, is called with the rows and compressed bytes read so far, by one
	// goroutine at a time. It must not block.
	Progress func(rows, bytes int64)
	// Written, when set, is called by Fuse with the rows, bytes and files written so far, by one
	// goroutine at a time. It must not block.
	Written func(rows, bytes, files int64)

	// BatchRows, RunRows and RunFiles limit the rows of a batch, and the rows and open files of a
	// run; 0 means the default. Tests make them small.
	BatchRows int
	RunRows   int
	RunFiles  int
}

func (c *Config) setDefaults() {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.BatchRows, DefaultBatchRows)
	set(&c.RunRows, DefaultRunRows)
	set(&c.RunFiles, DefaultRunFiles)
	set(&c.Threads, 1)
	if c.MemoryBytes <= 0 {
		c.MemoryBytes = defaultMemory
	}
	if c.Conf.PieceRows <= 0 {
		c.Conf.PieceRows = defaultPieceRows
	}
	if c.Progress == nil {
		c.Progress = func(rows, bytes int64) {}
	}
}

// Run maps the split and returns what the attempt holds. On failure, cancellation included, no file
// of the attempt is left. Errors about the input are *model.Failure of ReasonInput that name the file.
func Run(ctx context.Context, c Config) (model.MapOutput, error) {
	c.setDefaults()
	m, err := newMapper(c, pageRules{smallBytes: block.DefaultSmallBytes, minBytes: minPageBytes})
	if err != nil {
		return model.MapOutput{}, err
	}
	d := &staged{mapper: m, sealer: m.newSealer()}
	if err := m.run(ctx, d); err != nil {
		return model.MapOutput{}, err
	}
	return d.output(), nil
}

// destination takes what the page store gathers.
type destination interface {
	// relieve is called after every run but the last one, to keep the page store small.
	relieve(ctx context.Context) error
	// finish takes all that is left, after the last run.
	finish(ctx context.Context) error
	// abort removes what was written, also after finish.
	abort() error
}

// mapper is one attempt.
type mapper struct {
	Config
	out      *schema.Schema // of the output, with its key-value metadata
	keyValue metadata.KeyValueMetadata

	input  *input
	assign *partition.Assigner
	hash   *contenthash.Hasher

	// keys read the numKeys leaves that the assigner asks for, in its order. After them come leaves
	// that no output leaf covers, which are read only to be hashed.
	keys    []*cursor
	numKeys int
	pages   *pageStore

	// ids, starts and keyVecs are scratch of grouping; batches keep their buffers from run to run.
	ids     []uint32
	starts  []uint32
	keyVecs []*column.Vector
	batches []batch

	partRows        []int64 // rows by partition id
	inRows, inBytes int64
}

func newMapper(c Config, rules pageRules) (*mapper, error) {
	in, kv, err := parquet.DecodeSchema(c.Conf.InputSchema)
	if err != nil {
		return nil, err
	}
	out, outLeaves, err := parquet.Project(in, c.Conf.Partitioning.PartitionBy)
	if err != nil {
		return nil, err
	}
	assign, err := partition.New(c.Conf.Partitioning, in)
	if err != nil {
		return nil, err
	}
	codec, err := block.ParseCodec(c.Conf.Codec)
	if err != nil {
		return nil, err
	}
	m := &mapper{
		Config: c, out: out, keyValue: parquet.OutputKeyValue(kv, len(c.Conf.Partitioning.PartitionBy) > 0),
		input:  &input{fs: c.FS, schema: in, chunks: c.Split.Chunks},
		assign: assign,
		pages:  newPageStore(in, out, outLeaves, codec, c.Conf.PieceRows, rules),
	}
	if m.hash, err = newHasher(in, m.pages.outputs); err != nil {
		return nil, err
	}
	for _, leaf := range assign.Leaves() {
		m.keys = append(m.keys, newCursor(in, leaf))
	}
	m.numKeys = len(m.keys)
	for leaf := range in.NumColumns() {
		if !slices.Contains(outLeaves, leaf) && !slices.Contains(assign.Leaves(), leaf) {
			m.keys = append(m.keys, newCursor(in, leaf))
		}
	}
	return m, nil
}

// newHasher hashes every input leaf. In a partition column "" counts as null, because that is how
// it comes back from its directory.
func newHasher(in *schema.Schema, outputs []int) (*contenthash.Hasher, error) {
	leaves := make([]*schema.Column, in.NumColumns())
	for i := range leaves {
		leaves[i] = in.Column(i)
	}
	h, err := contenthash.New(nil, leaves)
	if err != nil {
		return nil, err
	}
	for i, output := range outputs {
		if output < 0 {
			h.EmptyAsNull(i)
		}
	}
	return h, nil
}

// run maps everything into d. On failure d has been aborted; in any case nothing is open any more.
func (m *mapper) run(ctx context.Context, d destination) error {
	err := m.mapAll(ctx, d)
	err = errors.Join(err, m.closeCursors(), m.input.close())
	if err != nil {
		err = errors.Join(err, d.abort())
	}
	return err
}

func (m *mapper) mapAll(ctx context.Context, d destination) (err error) {
	defer parallel.Recover(&err)
	for {
		r, err := m.readKeys(ctx)
		if err != nil {
			return err
		}
		if len(r.batches) == 0 {
			break
		}
		if err := m.gather(ctx, r); err != nil {
			return err
		}
		if err := m.input.release(); err != nil {
			return err
		}
		if m.input.atEnd() {
			continue
		}
		if err := d.relieve(ctx); err != nil {
			return err
		}
	}
	if err := m.checkRows(); err != nil {
		return err
	}
	return d.finish(ctx)
}

// checkRows asserts that every row of the split went through.
func (m *mapper) checkRows() error {
	want := int64(0)
	for i := range m.Split.Chunks {
		want += m.Split.Chunks[i].Rows
	}
	if m.inRows != want || m.hash.Sum().Rows != want {
		return model.Failf(model.ReasonInternal, "map attempt %s: %d rows read and %d hashed of %d", m.Attempt,
			m.inRows, m.hash.Sum().Rows, want)
	}
	return nil
}
