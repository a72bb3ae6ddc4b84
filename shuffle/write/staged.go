package write

import (
	"context"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// staged seals all that the page store holds: at the end, and whenever it holds too much.
type staged struct {
	*mapper
	sealer
	spills int
}

func (d *staged) relieve(ctx context.Context) error {
	if d.pages.bytes() <= d.MemoryBytes/2 {
		return nil
	}
	d.spills++
	return d.finish(ctx)
}

func (d *staged) finish(ctx context.Context) error {
	return d.sealAll(ctx, d.mapper, d.pages.partitions())
}

func (d *staged) abort() error { return d.remove() }

// output is the report of the finished attempt.
func (d *staged) output() model.MapOutput {
	buckets, hot, values := store.Summarize(d.entries...)
	out := model.MapOutput{
		Attempt:   d.Attempt,
		Segments:  d.segments,
		InRows:    d.inRows,
		InBytes:   d.inBytes,
		Buckets:   buckets,
		Hot:       hot,
		Values:    values,
		EmptyText: d.assign.EmptyText(),
		Spills:    d.spills,
		Hash:      d.hash.Sum(),
	}
	for _, b := range out.Buckets {
		out.Rows += b.Rows
	}
	for _, s := range out.Segments {
		out.Bytes += s.DataBytes
	}
	return out
}
