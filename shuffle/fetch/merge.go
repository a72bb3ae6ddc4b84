package fetch

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// position is a piece's place in the order of every stream.
type position struct {
	key                  model.PartitionKey
	source, segment, seq int
}

func (p position) compare(o position) int {
	return cmp.Or(p.key.Compare(o.key), cmp.Compare(p.source, o.source), cmp.Compare(p.segment, o.segment),
		cmp.Compare(p.seq, o.seq))
}

// after is the least position that comes behind p.
func (p position) after() position {
	p.seq++
	return p
}

func (p position) String() string {
	return fmt.Sprintf("piece %d of partition %s, segment %d", p.seq, p.key, p.segment)
}

// totals are what a source holds of a range.
type totals struct{ rows, pieces, bytes int64 }

func (t *totals) add(rows, bytes int64) {
	t.rows += rows
	t.pieces++
	t.bytes += bytes
}

// contains says whether a range holds a partition; shuffle/store selects by the same rule.
func contains(rg *model.ReduceRange, k model.PartitionKey) bool {
	if rg.Only != nil {
		return k == *rg.Only
	}
	if k.Bucket < rg.Lo || k.Bucket >= rg.Hi {
		return false
	}
	_, excepted := slices.BinarySearchFunc(rg.Except, k, model.PartitionKey.Compare)
	return !excepted
}

// cursor walks over the entries that one segment has of the range.
type cursor struct {
	source, segment int
	reader          *store.Reader
	entries         []store.Entry // not yet given; never empty while in the heap
}

func (c *cursor) at() position {
	e := &c.entries[0]
	return position{key: e.Key, source: c.source, segment: c.segment, seq: e.Seq}
}

// merged walks over segments on this host in the order of positions. The block server and the local
// reader are both made of it. The zero value is empty.
type merged struct {
	cursors cursorHeap
	totals  []sourceTotals // of the whole range, in the order of add
}

type sourceTotals struct {
	source int
	totals
}

type cursorHeap []*cursor

func (h cursorHeap) Len() int           { return len(h) }
func (h cursorHeap) Less(i, j int) bool { return h[i].at().compare(h[j].at()) < 0 }
func (h cursorHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursorHeap) Push(x any)        { *h = append(*h, x.(*cursor)) } //nolint:errcheck // only heap.Push below calls it
func (h *cursorHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add opens a source's segments. Pieces before start are counted and left out. After an error the
// source is not part of m.
func (m *merged) add(fsys vfs.FS, rg model.ReduceRange, source int, segments []model.Segment, start *position) error {
	sum := sourceTotals{source: source}
	var used []*cursor
	for i, seg := range segments {
		c, err := openCursor(fsys, rg, source, i, seg, start, &sum.totals)
		if err != nil {
			for _, c := range used {
				err = errors.Join(err, c.reader.Close())
			}
			return err
		}
		if c != nil {
			used = append(used, c)
		}
	}
	m.totals = append(m.totals, sum)
	for _, c := range used {
		heap.Push(&m.cursors, c)
	}
	return nil
}

// openCursor opens one segment and adds what it has of the range to sum; nil when nothing of it is
// wanted.
func openCursor(fsys vfs.FS, rg model.ReduceRange, source, segment int, seg model.Segment, start *position, sum *totals) (*cursor, error) {
	r, err := store.Open(fsys, seg)
	if err != nil {
		return nil, err
	}
	c := &cursor{source: source, segment: segment, reader: r, entries: r.Select(rg)}
	for i := range c.entries {
		sum.add(c.entries[i].Rows, c.entries[i].Length)
	}
	for start != nil && len(c.entries) > 0 && c.at().compare(*start) < 0 {
		c.entries = c.entries[1:]
	}
	if len(c.entries) == 0 {
		return nil, r.Close()
	}
	return c, nil
}

// peek returns the cursor at the next piece, or io.EOF.
func (m *merged) peek() (*cursor, error) {
	if len(m.cursors) == 0 {
		return nil, io.EOF
	}
	return m.cursors[0], nil
}

// pop moves behind the piece that peek showed. A segment that has no more is closed.
func (m *merged) pop() error {
	c := m.cursors[0]
	c.entries = c.entries[1:]
	if len(c.entries) > 0 {
		heap.Fix(&m.cursors, 0)
		return nil
	}
	heap.Pop(&m.cursors)
	return c.reader.Close()
}

// close closes what is still open.
func (m *merged) close() error {
	var errs []error
	for _, c := range m.cursors {
		errs = append(errs, c.reader.Close())
	}
	m.cursors = nil
	return errors.Join(errs...)
}
