// Package contenthash computes the hash of a set of rows that does not depend on their order, nor on how they
// lie in files, row groups and batches.
//
// # Definition
//
// The cell of a flat column is Spark's xxhash64(column name, value), with Spark's seed 42: one NaN, -0.0
// equals 0.0, a null leaves the hash of the name. The column hash is the sum of its cells, the row hash is
// xxhash64 of the sum of the row's cells as a bigint, the hash of the data set is the sum of the row hashes;
// all sums modulo 2^64. The row hash finds a column whose rows are in another order than its neighbours'.
//
// For flat columns, named a and b here, Spark SQL computes the same numbers:
//
//	SELECT count(*)                                            AS rows,
//	       sum(cast(xxhash64('a', a) AS decimal(38,0)))        AS a, -- pmod 2^64
//	       sum(cast(xxhash64('b', b) AS decimal(38,0)))        AS b,
//	       sum(cast(xxhash64(cast(
//	         pmod(cast(xxhash64('a', a) AS decimal(38,0)) + xxhash64('b', b)
//	              + 9223372036854775808, 18446744073709551616)
//	         - 9223372036854775808 AS bigint)) AS decimal(38,0))) AS row_sum
//	FROM t
//
// where each sum is taken pmod 18446744073709551616. A partition column whose values lie in directory
// names counts like any other, under its own name.
//
// A leaf that is not a top-level flat column is hashed row by row under its dotted path: beginning with
// the hash of the path, each of the row's level entries folds in xxhash64 of the int
// repetition level * 65536 + definition level, and then the value if there is one.
//
// These numbers are printed on receipts and compared between releases: they never change.
package contenthash

import (
	"sync"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

// Hasher sums up the rows of many batches. Its methods may be called concurrently.
type Hasher struct {
	leaves []leaf

	mu   sync.Mutex // guards what follows; held for sums over columns only, never for work per row
	hash model.ContentHash
	free []*Batch
}

// leaf is one column of the hash.
type leaf struct {
	name      string
	seed      uint64 // xxhash64(name): the cell of a null
	eval      *spark.Leaf
	flat      bool
	emptyNull bool
}

// New returns a hasher over the given leaves. names are the names that the columns are hashed under, nil
// for the leaves' own dotted paths. The error is a *model.Failure that names the column.
func New(names []string, leaves []*schema.Column) (*Hasher, error) {
	if names != nil && len(names) != len(leaves) {
		return nil, model.Failf(model.ReasonInternal, "content hash: %d names for %d leaves", len(names), len(leaves))
	}
	h := &Hasher{}
	for i, sc := range leaves {
		name := sc.Path()
		if names != nil {
			name = names[i]
		}
		eval, err := spark.NewLeaf(sc)
		if err != nil {
			return nil, err
		}
		h.leaves = append(h.leaves, leaf{
			name: name,
			seed: spark.XXHashBytes([]byte(name), spark.Seed),
			eval: eval,
			flat: eval.Flat(),
		})
		h.hash.Columns = append(h.hash.Columns, model.ColumnHash{Name: name})
	}
	return h, nil
}

// EmptyAsNull makes "" of column i count as null: the column is, or becomes, a directory column, where
// the two are one. Call it before the first batch.
func (h *Hasher) EmptyAsNull(i int) { h.leaves[i].emptyNull = true }

// Sum returns the hash of all batches that are done.
func (h *Hasher) Sum() model.ContentHash {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.hash
	out.Columns = append([]model.ColumnHash(nil), h.hash.Columns...)
	return out
}

// Batch begins a batch of rows. Batches are independent: several may be open at a time, each costs 8 bytes
// per row until it is done.
func (h *Hasher) Batch(rows int) *Batch {
	h.mu.Lock()
	var b *Batch
	if n := len(h.free); n > 0 {
		b, h.free = h.free[n-1], h.free[:n-1]
	}
	h.mu.Unlock()
	if b == nil {
		b = &Batch{hasher: h, columns: make([]uint64, len(h.leaves)), added: make([]bool, len(h.leaves))}
	}
	b.reset(rows)
	return b
}

// stripeRows is how many rows share a lock: enough that the lock costs nothing, few enough that the
// cells in work stay in the first-level cache (8 KiB).
const stripeRows = 1024

// Batch collects the cells of a batch of rows, leaf by leaf in any order. Add and AddConstant may be
// called from several goroutines for different leaves; Done after all of them returned.
type Batch struct {
	hasher  *Hasher
	rows    int
	columns []uint64 // sum of cells per leaf; written by the goroutine that adds the leaf
	added   []bool
	sums    []uint64 // sum of cells per row
	locks   []sync.Mutex
}

func (b *Batch) reset(rows int) {
	b.rows = rows
	clear(b.columns)
	clear(b.added)
	if cap(b.sums) < rows {
		b.sums = make([]uint64, rows)
	}
	b.sums = b.sums[:rows]
	clear(b.sums)
	if stripes := (rows + stripeRows - 1) / stripeRows; len(b.locks) < stripes {
		b.locks = make([]sync.Mutex, stripes)
	}
}

// Add adds leaf i; v must be indexed and have the batch's rows. It does not keep v. The error is a
// mistake of the caller (*model.Failure, ReasonInternal).
func (b *Batch) Add(i int, v *column.Vector) error {
	if err := b.begin(i); err != nil {
		return err
	}
	l := &b.hasher.leaves[i]
	if v.Rows != b.rows {
		return model.Failf(model.ReasonInternal, "content hash: column %s has %d rows in a batch of %d", l.name, v.Rows, b.rows)
	}
	var cells [stripeRows]uint64
	total := uint64(0)
	for from := 0; from < b.rows; from += stripeRows {
		c := cells[:min(stripeRows, b.rows-from)]
		if l.flat {
			l.flatCells(v, from, c)
		} else {
			l.nestedCells(v, from, c)
		}
		for _, cell := range c {
			total += cell
		}
		b.addRows(from, c)
	}
	b.columns[i] = total
	return nil
}

// AddConstant adds leaf i with one value in every row: a column that lies in a directory's name. value
// is in the form of column.Values; it is ignored when null.
func (b *Batch) AddConstant(i int, value []byte, null bool) error {
	if err := b.begin(i); err != nil {
		return err
	}
	l := &b.hasher.leaves[i]
	cell := l.seed
	if !null && (!l.emptyNull || len(value) > 0) {
		vals := column.Values{Width: column.Width(l.eval.Column())}
		if vals.Width > 0 && len(value) != vals.Width {
			return model.Failf(model.ReasonInternal, "content hash: column %s: a value of %d bytes, want %d", l.name, len(value), vals.Width)
		}
		vals.AppendBytes(value)
		if !l.flat {
			return model.Failf(model.ReasonInternal, "content hash: column %s is nested and cannot be constant", l.name)
		}
		one := [1]uint64{l.seed}
		l.eval.XXHash64(&vals, 0, one[:])
		cell = one[0]
	}
	b.columns[i] = cell * uint64(b.rows)
	var cells [stripeRows]uint64
	for j := range cells {
		cells[j] = cell
	}
	for from := 0; from < b.rows; from += stripeRows {
		b.addRows(from, cells[:min(stripeRows, b.rows-from)])
	}
	return nil
}

func (b *Batch) begin(i int) error {
	if b.added[i] {
		return model.Failf(model.ReasonInternal, "content hash: column %s was added twice", b.hasher.leaves[i].name)
	}
	b.added[i] = true
	return nil
}

// addRows adds the cells of one stripe to the sums of its rows. Sums are commutative, so the order in
// which leaves come does not matter.
func (b *Batch) addRows(from int, cells []uint64) {
	lock := &b.locks[from/stripeRows]
	lock.Lock()
	sums := b.sums[from : from+len(cells)]
	for j, cell := range cells {
		sums[j] += cell
	}
	lock.Unlock()
}

// Done adds the batch to the hasher; the batch must not be used afterwards. It is an error when a leaf
// was not added: a sum without it would look like a different data set.
func (b *Batch) Done() error {
	for i, added := range b.added {
		if !added {
			return model.Failf(model.ReasonInternal, "content hash: column %s is missing from a batch", b.hasher.leaves[i].name)
		}
	}
	total := uint64(0)
	for _, s := range b.sums {
		total += spark.XXHashLong(s, spark.Seed)
	}
	h := b.hasher
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hash.Rows += int64(b.rows)
	h.hash.RowSum += model.HashSum(total)
	for i, c := range b.columns {
		h.hash.Columns[i].Sum += model.HashSum(c)
	}
	h.free = append(h.free, b)
	return nil
}
