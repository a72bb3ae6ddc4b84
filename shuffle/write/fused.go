package write

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/sink"
)

// maxWriting is how many partitions have an open file while mapping goes on. Further ones wait for
// the end, in memory or spilled.
const maxWriting = 64

// Fuse maps the split and lays its rows into output files without a map output between: pieces go
// from the page store to the sink by reference. On failure, cancellation included, neither a staged
// file nor scratch is left. Errors are as those of Run.
func Fuse(ctx context.Context, c Config) (model.WriteOutput, error) {
	c.setDefaults()
	m, err := newMapper(c, pageRules{minBytes: minFusedPageBytes}) // a small chunk may be all that a file gets
	if err != nil {
		return model.WriteOutput{}, err
	}
	w, err := sink.New(sink.Config{
		FS: c.FS, Conf: c.Conf, Schema: m.out, KeyValue: m.keyValue, Attempt: c.Attempt, Progress: c.Written,
	})
	if err != nil {
		return model.WriteOutput{}, err
	}
	d := &fused{mapper: m, sealer: m.newSealer(), w: w, writing: map[uint32]*sink.Partition{}, spilled: map[uint32]int64{}}
	if err := m.run(ctx, d); err != nil {
		return model.WriteOutput{}, err
	}
	out, err := w.Close()
	if err != nil {
		return model.WriteOutput{}, errors.Join(err, d.abort())
	}
	out.InRows, out.InBytes, out.Hash, out.EmptyText = m.inRows, m.inBytes, m.hash.Sum(), m.assign.EmptyText()
	out.Spills, out.Fetch = d.spills, d.counters
	return out, nil
}

// fused hands pieces to the sink: while mapping goes on those that fill a row group, at the end the
// rest. What does not fit into memory until then is sealed into scratch, a spill.
//
// The rows of a partition reach its files in their order: first what was handed over, then what was
// spilled, spill by spill, then what is in memory. So a partition that has spilled hands nothing
// over before the end.
type fused struct {
	*mapper
	sealer
	w        *sink.Writer
	writing  map[uint32]*sink.Partition // whose first row group was handed over
	spilled  map[uint32]int64           // the memory that it took, by partition
	spills   int
	counters model.FetchCounters // of what was read back
}

func (d *fused) relieve(ctx context.Context) error {
	if err := d.handOver(ctx); err != nil {
		return err
	}
	if d.pages.bytes()+d.openBytes() <= d.MemoryBytes/2 {
		return nil
	}
	return d.spill(ctx)
}

// handOver gives the sink every full row group.
func (d *fused) handOver(ctx context.Context) error {
	var ready []uint32
	for _, id := range d.pages.partitions() {
		p := d.writing[id]
		switch {
		case d.spilled[id] > 0 || !d.fills(id, 0, p):
			continue
		case p == nil && len(d.writing) == maxWriting:
			continue
		case p == nil:
			d.writing[id] = d.w.Partition(d.assign.Key(id))
		}
		ready = append(ready, id)
	}
	taken := make([]int, len(ready))
	err := parallel.Each(ctx, d.writers(ready), len(ready), func(i int) error {
		id := ready[i]
		p := d.writing[id]
		for n := d.pages.numPieces(id); taken[i] < n && (p.Bytes() > 0 || d.fills(id, taken[i], p)); taken[i]++ {
			if err := d.append(ctx, p, id, taken[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, id := range ready {
		d.pages.drop(id, taken[i], true)
	}
	return nil
}

// fills reports whether the pieces of a partition from one on, after those that the sink holds, make
// a row group, by the sink's own rule: it closes at the cut nearest its size.
func (d *fused) fills(id uint32, from int, p *sink.Partition) bool {
	size, last := int64(0), int64(0)
	if p != nil {
		size = p.Bytes()
	}
	n := d.pages.numPieces(id)
	for i := from; i < n; i++ {
		last = d.pages.size(id, i)
		size += last
	}
	return from < n && size+last/2 >= d.Conf.RowGroupBytes
}

// append gives a piece of the page store to the sink. Its pages are shared, not copied.
func (d *fused) append(ctx context.Context, p *sink.Partition, id uint32, piece int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b := new(block.Piece)
	if err := d.pages.piece(id, piece, b); err != nil {
		return err
	}
	release := func() {
		for i := range b.Chunks {
			b.Chunks[i].Recycle()
		}
	}
	return p.Append(sink.Piece{Piece: b, From: d.Attempt, Release: release})
}

// openBytes is what the sink holds of row groups that are not full.
func (d *fused) openBytes() (n int64) {
	for _, p := range d.writing {
		n += p.Bytes()
	}
	return n
}

// spill seals partitions until the page store holds at most a quarter of the budget. Largest first,
// so that few partitions have to be read back; before all others those that wait for the end already,
// last those that fill row groups.
func (d *fused) spill(ctx context.Context) error {
	type candidate struct {
		id    uint32
		class int
		bytes int64
	}
	var all []candidate
	for _, id := range d.pages.partitions() {
		c := candidate{id: id, class: 1, bytes: d.pages.memory(id)}
		switch {
		case d.spilled[id] > 0:
			c.class = 0
		case d.writing[id] != nil:
			c.class = 2
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.id, b.id))
	})
	held := d.pages.bytes() + d.openBytes()
	var ids []uint32
	for _, c := range all {
		if held <= d.MemoryBytes/4 {
			break
		}
		held -= c.bytes
		ids = append(ids, c.id)
		d.spilled[c.id] += c.bytes
	}
	if len(ids) == 0 {
		return nil
	}
	d.spills++
	return d.sealAll(ctx, d.mapper, ids)
}

// writers is how many of some partitions are assembled at once: each may take a row group of finished
// pages and as much again of open ones, beside what the page store holds.
func (d *fused) writers(ids []uint32) int {
	each := int64(1)
	for _, id := range ids {
		each = max(each, d.spilled[id]+d.pages.memory(id))
	}
	if d.Conf.RowGroupBytes > 0 {
		each = min(each, d.Conf.RowGroupBytes)
	}
	room := max(d.MemoryBytes-d.pages.bytes(), 0)
	return int(min(int64(d.Threads), max(room/(2*each), 1)))
}

// finish completes every partition, in the order of their keys. Scratch is removed before the output
// is complete.
func (d *fused) finish(ctx context.Context) (err error) {
	ids := d.remaining()
	byKey(ids, d.assign.Key)
	back, err := openSpills(d.FS, d.out, d.Attempt, d.segments)
	if err != nil {
		return err
	}
	for err == nil && len(ids) > 0 {
		var group []uint32
		group, ids = d.nextGroup(ids)
		if err = d.pages.finish(ctx, d.Threads, group); err != nil {
			break
		}
		err = parallel.Each(ctx, d.writers(group), len(group), func(i int) error { return d.complete(ctx, group[i], back) })
		for _, id := range group {
			d.pages.drop(id, d.pages.numPieces(id), true)
		}
	}
	d.counters = back.counters()
	if err = errors.Join(err, back.close()); err != nil || len(d.segments) == 0 {
		return err
	}
	return d.FS.RemoveAll(d.Dir)
}

// finishBytes is how much of the page store is closed before it is written: the pages of one group are
// the memory of the next.
const finishBytes = 16 << 20

// nextGroup takes partitions of about finishBytes from ids.
func (d *fused) nextGroup(ids []uint32) (group, rest []uint32) {
	n, size := 0, int64(0)
	for n < len(ids) && size < finishBytes {
		size += d.pages.memory(ids[n])
		n++
	}
	return ids[:n], ids[n:]
}

// remaining are the partitions that are in memory, spilled, or have an open file.
func (d *fused) remaining() []uint32 {
	ids := d.pages.partitions()
	for id := range d.spilled {
		ids = append(ids, id)
	}
	for id := range d.writing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// complete writes what is left of a partition and closes its last file.
func (d *fused) complete(ctx context.Context, id uint32, back *spills) error {
	p := d.writing[id]
	if p == nil {
		p = d.w.Partition(d.assign.Key(id))
	}
	if d.spilled[id] > 0 {
		if err := back.each(ctx, d.assign.Key(id), p.Append); err != nil {
			return err
		}
	}
	for i := range d.pages.numPieces(id) {
		if err := d.append(ctx, p, id, i); err != nil {
			return err
		}
	}
	return p.Close()
}

// abort removes staged files and spills.
func (d *fused) abort() error { return errors.Join(d.w.Abort(), d.remove()) }
