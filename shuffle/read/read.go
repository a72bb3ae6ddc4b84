// Package read is the reduce operator: it pulls a range of partitions out of all map outputs and
// hands their pieces, in order, to a sink.
package read

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/shuffle/fetch"
	"github.com/sluice-engine/sluice/sink"
)

// Config says what one attempt reads and writes, and how much it may use.
type Config struct {
	Conf    model.JobConf
	Attempt model.AttemptID
	Range   model.ReduceRange
	Sources []model.MapSource // in order of task index
	FS      vfs.FS            // of the output files
	Fetch   fetch.Options
	// Threads is how many files are assembled at once; fewer when MemoryBytes does not hold a row
	// group and the pieces on their way for each.
	Threads     int
	MemoryBytes int64 // 0 means no limit
	// Progress, when set, is called with what was written so far, by one goroutine at a time.
	Progress func(rows, bytes, files int64)
	// Drained, when set, is called when every piece has been read and no source is open any more,
	// before the output is complete: a direct task removes its map output there. Its error fails the
	// attempt.
	Drained func() error
}

// writers is how many files are assembled at once: each takes a row group of finished pages and as
// much again of open ones and pieces.
func (c *Config) writers() int {
	n := int64(max(c.Threads, 1))
	if c.MemoryBytes > 0 && c.Conf.RowGroupBytes > 0 {
		n = min(n, max(c.MemoryBytes/(2*c.Conf.RowGroupBytes), 1))
	}
	return int(n)
}

// Run stages the output files of the range and reports them. On failure, cancellation included, no
// staged file is left.
func Run(ctx context.Context, c Config) (model.WriteOutput, error) {
	in, kv, err := parquet.DecodeSchema(c.Conf.InputSchema)
	if err != nil {
		return model.WriteOutput{}, err
	}
	dropped := c.Conf.Partitioning.PartitionBy
	out, _, err := parquet.Project(in, dropped)
	if err != nil {
		return model.WriteOutput{}, err
	}
	w, err := sink.New(sink.Config{
		FS: c.FS, Conf: c.Conf, Schema: out, KeyValue: parquet.OutputKeyValue(kv, len(dropped) > 0),
		Attempt: c.Attempt, Threads: c.writers(), Progress: c.Progress,
	})
	if err != nil {
		return model.WriteOutput{}, err
	}
	counters, err := c.copy(ctx, w, out)
	if err == nil && c.Drained != nil {
		err = c.Drained()
	}
	if err != nil {
		return model.WriteOutput{}, errors.Join(err, w.Abort())
	}
	res, err := w.Close()
	if err != nil {
		return model.WriteOutput{}, errors.Join(err, w.Abort())
	}
	res.Fetch = counters
	return res, nil
}

// copy moves every piece of the range to the sink.
func (c *Config) copy(ctx context.Context, w *sink.Writer, out *schema.Schema) (n model.FetchCounters, err error) {
	defer parallel.Recover(&err)
	stream, err := fetch.Open(ctx, c.Fetch, c.Range, c.Sources)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()

	leaves := make([]*schema.Column, out.NumColumns())
	for i := range leaves {
		leaves[i] = out.Column(i)
	}
	var buffers buffers
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		item, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return stream.Counters(), nil
		}
		if err != nil {
			return n, err
		}
		from := c.Sources[item.Source].Attempt
		data := buffers.copyOf(item.Data)
		p, err := block.DecodePiece(leaves, *data)
		if err == nil && p.Rows != item.Rows {
			err = errRows
		}
		if err != nil {
			return n, model.Failf(model.ReasonCorruption, "map output %s: partition %s, piece %d of segment %d: %w",
				from, item.Key, item.Seq, item.Segment, err)
		}
		release := func() { buffers.pool.Put(data) }
		if err := w.Append(item.Key, sink.Piece{Piece: p, From: from, Release: release}); err != nil {
			return n, err
		}
	}
}

var errRows = errors.New("its rows differ from the index")

// buffers are the bytes of pieces on their way through the sink, used again and again.
type buffers struct{ pool sync.Pool }

func (b *buffers) copyOf(data []byte) *[]byte {
	buf, ok := b.pool.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = append((*buf)[:0], data...)
	return buf
}
