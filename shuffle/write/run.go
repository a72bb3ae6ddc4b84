package write

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sluice-engine/sluice/dataset/contenthash"
	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/shuffle/partition"
)

// run is what is gathered at once.
type run struct {
	batches []batch
	rows    int64
	bytes   int64 // in the input files
	memory  int64 // that it may take, estimated
}

// batch is an extent whose rows have been grouped by partition.
type batch struct {
	extent
	// order holds the row indices of the batch, grouped by partition, ascending in each group.
	order  []uint32
	groups []group
	hash   *contenthash.Batch
}

// group is the rows of one partition in a batch: order[end of the group before:end].
type group struct {
	id  uint32
	end uint32
}

// readKeys plans the next run: it takes rows until a limit is reached, and groups every batch by
// the key columns. A run has at least one batch, however small the limits are; one without is the
// end of the split.
//
// It works on one goroutine, because the ids of new partitions depend on the order in which rows
// are seen.
func (m *mapper) readKeys(ctx context.Context) (*run, error) {
	r := &run{}
	for files := 0; len(r.batches) == 0 || r.rows < int64(m.RunRows) && r.memory < m.MemoryBytes/4; {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if m.input.opensFile() {
			if files == m.RunFiles {
				break
			}
			files++
		}
		g, err := m.input.current()
		if err != nil {
			return nil, err
		}
		if g == nil {
			break
		}
		rowBytes := max(g.rowBytes, m.pages.rowBytes())
		limit := min(int64(m.BatchRows), int64(m.RunRows)-r.rows, max(m.MemoryBytes/16/rowBytes, minBatchRows))
		e := m.input.take(int(limit))
		r.memory += int64(e.rows) * (rowBytes + orderBytes)
		r.rows += int64(e.rows)
		r.bytes += e.bytes()
		if err := m.groupRows(r, e); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// orderBytes is what a run keeps per row beside the values: its place in the order, and its sum of
// cell hashes.
const orderBytes = 4 + 8

// bytes is the extent's share of the row group's size.
func (e extent) bytes() int64 {
	last := e.first + int64(e.rows)
	return share(e.group.bytes, last, e.group.rows) - share(e.group.bytes, e.first, e.group.rows)
}

// share is bytes*part/whole without overflow.
func share(bytes, part, whole int64) int64 {
	return int64(float64(bytes) * (float64(part) / float64(whole)))
}

// groupRows adds a batch to the run.
func (m *mapper) groupRows(r *run, e extent) error {
	n := len(r.batches)
	if n == len(m.batches) {
		m.batches = append(m.batches, batch{})
	}
	r.batches = m.batches[:n+1]
	b := &r.batches[n]
	b.extent, b.hash = e, m.hash.Batch(e.rows)

	keyVecs := m.keyVecs[:0]
	for i, c := range m.keys {
		if err := c.read(e); err != nil {
			return err
		}
		if i < m.numKeys {
			keyVecs = append(keyVecs, c.vec)
		}
		if m.pages.outputs[c.leaf] < 0 {
			if err := b.hash.Add(c.leaf, c.vec); err != nil {
				return err
			}
		}
	}
	m.keyVecs = keyVecs
	if cap(m.ids) < e.rows {
		m.ids = make([]uint32, e.rows)
	}
	ids := m.ids[:e.rows]
	if err := m.assign.Assign(e.source(), keyVecs, e.rows, ids); err != nil {
		return err
	}
	b.order, m.starts = partition.Group(ids, m.assign.NumKeys(), b.order[:0], m.starts[:0])
	b.groups = b.groups[:0]
	for id, end := range m.starts[1:] {
		if end > m.starts[id] {
			b.groups = append(b.groups, group{id: uint32(id), end: end})
		}
	}
	return nil
}

// gather appends every output leaf of the run to the open chunks: one unit of work per leaf.
func (m *mapper) gather(ctx context.Context, r *run) error {
	m.pages.begin(m.assign.NumKeys(), m.pageSize(r))
	progress := m.progress(r)
	leaves := m.heaviestFirst(r)
	err := parallel.Each(ctx, m.Threads, len(leaves), func(i int) error {
		l := leaves[i]
		for k := range r.batches {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			b := &r.batches[k]
			if err := l.cursor.read(b.extent); err != nil {
				return err
			}
			if err := b.hash.Add(l.cursor.leaf, l.cursor.vec); err != nil {
				return err
			}
			if err := l.append(b); err != nil {
				return err
			}
		}
		l.measure()
		progress()
		return nil
	})
	if err != nil {
		return err
	}
	for i := range r.batches {
		if err := r.batches[i].hash.Done(); err != nil {
			return err
		}
		r.batches[i].hash = nil
	}
	m.inRows += r.rows
	m.inBytes += r.bytes
	m.pages.rows += r.rows
	return nil
}

// heaviestFirst orders the leaves by their bytes in the run's row groups: a heavy leaf that begins last
// would leave the other threads idle. What is written does not depend on the order.
func (m *mapper) heaviestFirst(r *run) []*leafPages {
	bytes := make(map[*leafPages]int64, len(m.pages.leaves))
	for i := range r.batches {
		e := &r.batches[i].extent
		chunks := e.group.file.RowGroup(e.group.index).Leaves
		for _, l := range m.pages.leaves {
			bytes[l] += share(chunks[l.cursor.leaf].Uncompressed, int64(e.rows), e.group.rows)
		}
	}
	leaves := slices.Clone(m.pages.leaves)
	slices.SortStableFunc(leaves, func(a, b *leafPages) int { return cmp.Compare(bytes[b], bytes[a]) })
	return leaves
}

// pageSize chooses the pages of chunks opened in this run, from what the partitions have got so far
// and what they may get until the end of the split.
func (m *mapper) pageSize(r *run) int {
	for i := len(m.partRows); i < m.assign.NumKeys(); i++ {
		m.partRows = append(m.partRows, 0)
	}
	for i := range r.batches {
		start := uint32(0)
		for _, g := range r.batches[i].groups {
			m.partRows[g.id] += int64(g.end - start)
			start = g.end
		}
	}
	perRow := float64(r.memory) / float64(r.rows) * max(float64(m.Split.Rows)/float64(m.inRows+r.rows), 1)
	bytes := make([]int64, len(m.partRows))
	for i, n := range m.partRows {
		bytes[i] = int64(float64(n) * perRow)
	}
	return pageSize(bytes, len(m.pages.leaves), m.MemoryBytes/2, m.pages.rules.minBytes)
}

// progress returns a function that reports one more leaf of the run as done.
func (m *mapper) progress(r *run) func() {
	var mu sync.Mutex // orders the calls of Progress, so that its figures never go back
	done, leaves := int64(0), int64(len(m.pages.leaves))
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		m.Progress(m.inRows+r.rows*done/leaves, m.inBytes+share(r.bytes, done, leaves))
	}
}

// closeCursors ends readers that stand in the middle of a row group.
func (m *mapper) closeCursors() error {
	var errs []error
	for _, c := range m.keys {
		errs = append(errs, c.close())
	}
	for _, l := range m.pages.leaves {
		errs = append(errs, l.cursor.close())
	}
	return errors.Join(errs...)
}
