// Package partition decides which partition each row of a batch belongs to.
package partition

import (
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/zeebo/xxh3"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

// BucketOf is the bucket of a partition path in a space of that many buckets: its share of the range
// of the high 32 bits of xxh3, so that bucket order is hash order whatever their number. It is part
// of the durable format: it decides the order of every map output and must never change.
func BucketOf(path string, buckets int) uint32 {
	return uint32((xxh3.HashString(path) >> 32) * uint64(buckets) >> 32)
}

// Source says where a batch comes from: round robin decides by it, so that a task that is run again
// gives the same answer.
type Source struct {
	RelPath  string // of the file, below the input it was found under
	RowGroup int
	FirstRow int64 // index of the batch's first row in its row group
}

// roundRobinStart is the partition of the first row of a row group: xxh3 of path, NUL and the row
// group's decimal number, modulo n. It decides where rows go and must never change.
func roundRobinStart(src Source, n uint64) uint64 {
	key := make([]byte, 0, 256)
	key = append(key, src.RelPath...)
	key = append(key, 0)
	key = strconv.AppendInt(key, int64(src.RowGroup), 10)
	return xxh3.Hash(key) % n
}

// Assigner gives each row of a task's batches the dense number of its partition. It remembers every
// partition it met: ids are 0, 1, 2, ... in the order of their first row, and stay valid.
//
// The identity of a partition is its key (number, path), never a value's bytes: null and "", or any
// two values with one directory, are one partition. An assigner belongs to one goroutine.
type Assigner struct {
	kind    model.PartitionerKind
	n       int
	buckets int

	leaves []int // leaf ordinals in the schema, ascending
	by     []hashColumn
	dirs   []*dirColumn

	keys []model.PartitionKey
	// An id is found in steps of small numbers: each column's value has a number, the tuple of
	// them is a path with a number, and (partition number, path number) is the id.
	tuples  []pairs // tuples[i] joins the tuple of columns 0..i with column i+1
	paths   []pathEntry
	ids     pairs
	plainID []uint32 // id + 1 by partition number, when there is no path

	hash    []int32
	current []uint32
	next    []uint32
}

// hashColumn is a column of the hash partitioner.
type hashColumn struct {
	column *spark.Column
	slots  []int // where its leaves stand in Assigner.leaves
	vecs   []*column.Vector
}

// pathEntry is a distinct tuple of partition values.
type pathEntry struct {
	path string
	id   uint32 // the value partitioner's id + 1; 0 when none yet
}

// New returns an assigner for the rows of a schema. The error is a *model.Failure of ReasonUser when a
// column does not exist (it names the nearest), or cannot be used as asked.
func New(p model.Partitioning, input *schema.Schema) (*Assigner, error) {
	a := &Assigner{kind: p.Kind, n: p.N, buckets: p.Buckets}
	switch p.Kind {
	case model.PartitionHash, model.PartitionRoundRobin:
		if p.N < 1 || p.N > model.MaxPartitions {
			return nil, model.Failf(model.ReasonUser, "%s into %d partitions: want 1 to %d", p.Kind, p.N, model.MaxPartitions)
		}
		if p.Kind == model.PartitionHash && len(p.By) == 0 {
			return nil, model.Failf(model.ReasonUser, "the hash partitioner needs a column: give --by")
		}
	case model.PartitionValue:
		if len(p.PartitionBy) == 0 {
			return nil, model.Failf(model.ReasonUser, "the value partitioner needs a column: give --partition-by")
		}
		if p.Buckets < 1 || p.Buckets > math.MaxInt32 {
			return nil, model.Failf(model.ReasonUser, "%d buckets: want a positive number", p.Buckets)
		}
	case model.PartitionNone:
	default:
		return nil, model.Failf(model.ReasonUser, "unknown partitioner %q", p.Kind)
	}
	if p.Kind == model.PartitionHash {
		for _, name := range p.By {
			if err := a.addHashColumn(input, name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range p.PartitionBy {
		if err := a.addDirColumn(input, name); err != nil {
			return nil, err
		}
	}
	if len(p.PartitionBy) >= input.Root().NumFields() {
		return nil, model.Failf(model.ReasonUser, "partition_by names all columns of the input: no column is left to write into the files")
	}
	a.placeLeaves()
	if len(a.dirs) > 1 {
		a.tuples = make([]pairs, len(a.dirs)-1)
	}
	if len(a.dirs) == 0 {
		a.plainID = make([]uint32, max(a.n, 1))
	}
	return a, nil
}

func (a *Assigner) addHashColumn(input *schema.Schema, name string) error {
	field, err := fieldOf(input, name)
	if err != nil {
		return err
	}
	c, err := spark.NewColumn(input, field)
	if err != nil {
		return err
	}
	if err := c.Hashable(); err != nil {
		return err
	}
	a.by = append(a.by, hashColumn{column: c, slots: c.Leaves()})
	return nil
}

func (a *Assigner) addDirColumn(input *schema.Schema, name string) error {
	field, err := fieldOf(input, name)
	if err != nil {
		return err
	}
	c, err := spark.NewColumn(input, field)
	if err != nil {
		return err
	}
	if !c.Flat() {
		return model.Failf(model.ReasonUser, "column %s is nested and cannot become a directory: partition by a column that holds one value per row", name)
	}
	leaf := c.Leaves()[0]
	d, err := newDirColumn(input.Column(leaf))
	if err != nil {
		return err
	}
	d.slot = leaf
	a.dirs = append(a.dirs, d)
	return nil
}

// placeLeaves turns the leaf ordinals that the columns noted into positions among Leaves.
func (a *Assigner) placeLeaves() {
	for _, c := range a.by {
		a.leaves = append(a.leaves, c.slots...)
	}
	for _, d := range a.dirs {
		a.leaves = append(a.leaves, d.slot)
	}
	slices.Sort(a.leaves)
	a.leaves = slices.Compact(a.leaves)
	for i := range a.by {
		c := &a.by[i]
		for j, leaf := range c.slots {
			c.slots[j], _ = slices.BinarySearch(a.leaves, leaf)
		}
		c.vecs = make([]*column.Vector, len(c.slots))
	}
	for _, d := range a.dirs {
		d.slot, _ = slices.BinarySearch(a.leaves, d.slot)
	}
}

// Leaves returns the ordinals, ascending, of the leaves that Assign needs.
func (a *Assigner) Leaves() []int { return slices.Clone(a.leaves) }

// NumKeys is the number of partitions met so far; every id is below it.
func (a *Assigner) NumKeys() int { return len(a.keys) }

// Key returns the key of a partition.
func (a *Assigner) Key(id uint32) model.PartitionKey { return a.keys[id] }

// EmptyText is how many times "" stood in a partition column: it comes back as null.
func (a *Assigner) EmptyText() int64 {
	total := int64(0)
	for _, d := range a.dirs {
		total += d.empty
	}
	return total
}

// Assign fills ids[i] with the partition of row i. vecs are the batch's vectors of the leaves that
// Leaves names, in that order, indexed, each with that many rows. The error is a *model.Failure: a value
// that no directory name can hold, or levels of a nested column that disagree.
func (a *Assigner) Assign(src Source, vecs []*column.Vector, rows int, ids []uint32) error {
	if len(vecs) != len(a.leaves) || len(ids) < rows {
		return model.Failf(model.ReasonInternal, "partition: %d vectors for %d leaves, %d ids for %d rows", len(vecs), len(a.leaves), len(ids), rows)
	}
	for _, v := range vecs {
		if v.Rows != rows {
			return model.Failf(model.ReasonInternal, "partition: column %s has %d rows in a batch of %d", v.Leaf.Path(), v.Rows, rows)
		}
	}
	ids = ids[:rows]
	if len(a.dirs) == 0 {
		if err := a.numbers(src, vecs, ids); err != nil {
			return err
		}
		a.finishNumbers(ids)
		return nil
	}
	if err := a.assignPaths(vecs, ids); err != nil {
		return err
	}
	if a.kind == model.PartitionValue {
		a.finishValues(ids)
		return nil
	}
	a.next = grow(a.next, rows)
	if err := a.numbers(src, vecs, a.next); err != nil {
		return err
	}
	a.finishPairs(a.next, ids)
	return nil
}

// numbers fills the partition number of each row.
func (a *Assigner) numbers(src Source, vecs []*column.Vector, out []uint32) error {
	switch a.kind {
	case model.PartitionRoundRobin:
		n := uint64(a.n)
		next := (roundRobinStart(src, n) + uint64(src.FirstRow)%n) % n
		for i := range out {
			out[i] = uint32(next)
			if next++; next == n {
				next = 0
			}
		}
	case model.PartitionHash:
		return a.hashNumbers(vecs, out)
	default:
		clear(out)
	}
	return nil
}

// hashNumbers is Spark's HashPartitioning: pmod(murmur3(columns; seed 42), n).
func (a *Assigner) hashNumbers(vecs []*column.Vector, out []uint32) error {
	a.hash = grow(a.hash, len(out))
	for i := range a.hash {
		a.hash[i] = spark.Seed
	}
	for _, c := range a.by {
		for j, slot := range c.slots {
			c.vecs[j] = vecs[slot]
		}
		if err := c.column.Murmur3(c.vecs, a.hash); err != nil {
			return err
		}
	}
	n := int32(a.n)
	for i, h := range a.hash {
		r := h % n
		if r < 0 {
			r += n
		}
		out[i] = uint32(r)
	}
	return nil
}

// finishNumbers turns partition numbers into ids, in place.
func (a *Assigner) finishNumbers(ids []uint32) {
	for i, number := range ids {
		id := a.plainID[number]
		if id == 0 {
			id = a.newKey(model.PartitionKey{Bucket: number}) + 1
			a.plainID[number] = id
		}
		ids[i] = id - 1
	}
}

// assignPaths fills the number of each row's path.
func (a *Assigner) assignPaths(vecs []*column.Vector, out []uint32) error {
	if err := a.dirs[0].assign(vecs[a.dirs[0].slot], out); err != nil {
		return err
	}
	a.current = grow(a.current, len(out))
	for i := range a.tuples {
		d := a.dirs[i+1]
		if err := d.assign(vecs[d.slot], a.current); err != nil {
			return err
		}
		a.tuples[i].join(out, a.current)
	}
	return nil
}

// finishValues turns path numbers into ids, in place.
func (a *Assigner) finishValues(ids []uint32) {
	for i, path := range ids {
		if int(path) >= len(a.paths) || a.paths[path].id == 0 {
			text := a.path(path)
			a.paths[path].id = a.newKey(model.PartitionKey{Bucket: BucketOf(text, a.buckets), Path: text}) + 1
		}
		ids[i] = a.paths[path].id - 1
	}
}

// finishPairs turns partition numbers and path numbers (in ids) into ids.
func (a *Assigner) finishPairs(numbers, ids []uint32) {
	lastNumber, lastPath, last := uint32(0), uint32(math.MaxUint32), uint32(0)
	for i, path := range ids {
		number := numbers[i]
		if number != lastNumber || path != lastPath {
			id, found := a.ids.get(number, path)
			if !found {
				a.newKey(model.PartitionKey{Bucket: number, Path: a.path(path)})
			}
			lastNumber, lastPath, last = number, path, id
		}
		ids[i] = last
	}
}

func (a *Assigner) newKey(k model.PartitionKey) uint32 {
	a.keys = append(a.keys, k)
	return uint32(len(a.keys) - 1)
}

// path returns the text of a path number, which it makes once.
func (a *Assigner) path(number uint32) string {
	for int(number) >= len(a.paths) {
		a.paths = append(a.paths, pathEntry{})
	}
	e := &a.paths[number]
	if e.path == "" {
		e.path = a.join(len(a.dirs)-1, number)
	}
	return e.path
}

// join builds the path of the tuple of columns 0..last.
func (a *Assigner) join(last int, tuple uint32) string {
	if last == 0 {
		return a.dirs[0].names[tuple]
	}
	left, right := a.tuples[last-1].at(tuple)
	return a.join(last-1, left) + "/" + a.dirs[last].names[right]
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
