// Package spark gives Spark's answers for the values of Parquet columns: hash, xxhash64 and the cast to string.
//
// Spark's answers decide where a row goes (`hash(n, columns)`), how a directory is named and what
// the content hash is, so they are part of what users compare and must never change. They are for
// the types as Spark 4.3 reads them from Parquet, with the session time zone UTC and ANSI mode on.
// Where Spark refuses a type, the choice made here stands at NewLeaf.
package spark

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/model"
)

// Seed is the seed of Spark's hash and xxhash64 functions: the running hash before the first column.
const Seed = 42

// Column evaluates one top-level column, flat or nested. It holds no state between calls and may be
// used by several goroutines.
type Column struct {
	name     string
	first    int
	leaves   []*Leaf
	hasMap   bool
	assembly *node // set when values of several leaves interleave; see newNode
}

// NewColumn makes the evaluator of the field'th top-level field of a schema. The error is a
// *model.Failure that names the column.
func NewColumn(sc *schema.Schema, field int) (*Column, error) {
	root := sc.Root()
	if field < 0 || field >= root.NumFields() {
		return nil, model.Failf(model.ReasonInternal, "field %d of a schema of %d fields", field, root.NumFields())
	}
	c := &Column{name: root.Field(field).Name()}
	for i := range field {
		c.first += countLeaves(root.Field(i))
	}
	n := countLeaves(root.Field(field))
	for i := range n {
		leaf, err := NewLeaf(sc.Column(c.first + i))
		if err != nil {
			return nil, err
		}
		c.leaves = append(c.leaves, leaf)
	}
	c.hasMap = containsMap(root.Field(field))
	tree := newNode(root.Field(field), 0, new(int))
	if tree.interleaves() {
		c.assembly = tree
	}
	return c, nil
}

// Name is the column's name in the schema.
func (c *Column) Name() string { return c.name }

// Leaves returns the ordinals of the column's leaves in the schema, ascending.
func (c *Column) Leaves() []int {
	out := make([]int, len(c.leaves))
	for i := range out {
		out[i] = c.first + i
	}
	return out
}

// Flat reports whether the column is a single value per row: one leaf, not inside a group or list.
func (c *Column) Flat() bool { return len(c.leaves) == 1 && c.leaves[0].Flat() }

// Hashable returns nil when Spark's hash functions are defined for the column, else a
// *model.Failure of ReasonUser: a map has no order of its entries, so Spark refuses to hash it.
func (c *Column) Hashable() error {
	if c.hasMap {
		return model.Failf(model.ReasonUser, "column %s contains a map, and maps cannot be hashed: choose another column", c.name)
	}
	return nil
}

// Murmur3 folds the column into the running hash of each row: h[i] is the seed on the way in and
// Spark's hash(..., column) on the way out; a null leaves it as it was. vecs are the column's leaves
// in the order of Leaves, indexed, each with len(h) rows.
func (c *Column) Murmur3(vecs []*column.Vector, h []int32) error {
	if err := c.check(vecs, len(h)); err != nil {
		return err
	}
	if c.assembly == nil {
		for i, l := range c.leaves {
			chain(vecs[i], h, l.Murmur3)
		}
		return nil
	}
	return c.assemble(vecs, len(h), func(row, leaf, value int) {
		c.leaves[leaf].Murmur3(&vecs[leaf].Values, value, h[row:row+1])
	})
}

// XXHash64 is Murmur3 with Spark's xxhash64(..., column).
func (c *Column) XXHash64(vecs []*column.Vector, h []uint64) error {
	if err := c.check(vecs, len(h)); err != nil {
		return err
	}
	if c.assembly == nil {
		for i, l := range c.leaves {
			chain(vecs[i], h, l.XXHash64)
		}
		return nil
	}
	return c.assemble(vecs, len(h), func(row, leaf, value int) {
		c.leaves[leaf].XXHash64(&vecs[leaf].Values, value, h[row:row+1])
	})
}

// AppendString appends Spark's CAST(v AS STRING) of one present value of a flat column. The error
// is a *model.Failure: the type has no text form.
func (c *Column) AppendString(dst, v []byte) ([]byte, error) {
	if !c.Flat() {
		return dst, model.Failf(model.ReasonUser, "column %s is nested and has no text form", c.name)
	}
	return c.leaves[0].AppendString(dst, v)
}

func (c *Column) check(vecs []*column.Vector, rows int) error {
	if err := c.Hashable(); err != nil {
		return err
	}
	if len(vecs) != len(c.leaves) {
		return model.Failf(model.ReasonInternal, "column %s: %d vectors for %d leaves", c.name, len(vecs), len(c.leaves))
	}
	for _, v := range vecs {
		if v.Rows != rows {
			return model.Failf(model.ReasonInternal, "column %s: %d rows where %d were announced", v.Leaf.Path(), v.Rows, rows)
		}
	}
	return nil
}

// chain folds the values of one leaf, row after row, into the running hashes. Rows that hold one
// value each are given to the kernel as one run.
func chain[H int32 | uint64](v *column.Vector, h []H, kernel func(*column.Values, int, []H)) {
	if v.Leaf.MaxRepetitionLevel() == 0 {
		for row := 0; row < len(h); {
			from, to := v.ValueRange(row)
			if from == to {
				row++
				continue
			}
			end := row + 1
			if v.Values.Len() == v.Rows {
				end = len(h)
			}
			for end < len(h) {
				if f, t := v.ValueRange(end); f == t {
					break
				}
				end++
			}
			kernel(&v.Values, from, h[row:end])
			row = end
		}
		return
	}
	for row := range h {
		from, to := v.ValueRange(row)
		for ; from < to; from++ {
			kernel(&v.Values, from, h[row:row+1])
		}
	}
}

func countLeaves(n schema.Node) int {
	g, ok := n.(*schema.GroupNode)
	if !ok {
		return 1
	}
	total := 0
	for i := range g.NumFields() {
		total += countLeaves(g.Field(i))
	}
	return total
}

// containsMap looks for a group annotated as a map; MAP_KEY_VALUE on the outer group is how old
// writers spelled it.
func containsMap(n schema.Node) bool {
	g, ok := n.(*schema.GroupNode)
	if !ok {
		return false
	}
	if _, isMap := g.LogicalType().(schema.MapLogicalType); isMap {
		return true
	}
	if ct := g.ConvertedType(); ct == schema.ConvertedTypes.Map || ct == schema.ConvertedTypes.MapKeyValue {
		return true
	}
	for i := range g.NumFields() {
		if containsMap(g.Field(i)) {
			return true
		}
	}
	return false
}

func levelsDisagree(name string, row int) error {
	return model.Failf(model.ReasonInput, "column %s: the levels of its leaves disagree in row %d of the batch", name, row)
}

func unsupported(leaf *schema.Column, why string) error {
	return model.Failf(model.ReasonUser, "column %s: %s", leaf.Path(), fmt.Sprintf("type %s (%s) %s", leaf.PhysicalType(), leaf.LogicalType(), why))
}
