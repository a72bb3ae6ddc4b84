package spark

import (
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// node is a schema node as the folding of nested values needs it. Spark folds an array's elements
// and a struct's fields left to right and skips nulls, so whether a group is a list or a struct makes
// no difference: only the order of the values does.
type node struct {
	rep      int16 // repetition level at which a further entry of this node begins; 0: not repeated
	leaf     int   // index among the column's leaves; of the first one below for a group
	children []*node
	leaves   int
}

func newNode(n schema.Node, rep int16, next *int) *node {
	out := &node{leaf: *next}
	if n.RepetitionType() == parquet.Repetitions.Repeated {
		rep++
		out.rep = rep
	}
	g, ok := n.(*schema.GroupNode)
	if !ok {
		*next++
		out.leaves = 1
		return out
	}
	for i := range g.NumFields() {
		child := newNode(g.Field(i), rep, next)
		out.children = append(out.children, child)
		out.leaves += child.leaves
	}
	return out
}

// interleaves reports whether a repeated node has more than one leaf: then the values of its leaves
// alternate, entry by entry. Otherwise folding leaf after leaf gives the same order.
func (n *node) interleaves() bool {
	if n.rep > 0 && n.leaves > 1 {
		return true
	}
	for _, c := range n.children {
		if c.interleaves() {
			return true
		}
	}
	return false
}

// cursor is where assembly stands in one leaf.
type cursor struct {
	vec        *column.Vector
	maxDef     int16
	level, end int // the next level entry of the row and the row's end
	value      int // the next value
}

// assemble visits the present values of each row in the order of the nested value. Siblings that
// do not agree on the number of entries are an error: each leaf's levels alone may be well formed.
func (c *Column) assemble(vecs []*column.Vector, rows int, visit func(row, leaf, value int)) error {
	cursors := make([]cursor, len(vecs))
	for i, v := range vecs {
		cursors[i] = cursor{vec: v, maxDef: v.Leaf.MaxDefinitionLevel()}
	}
	for row := range rows {
		for i := range cursors {
			cu := &cursors[i]
			cu.level, cu.end = cu.vec.LevelRange(row)
			cu.value, _ = cu.vec.ValueRange(row)
		}
		ok := c.assembly.fold(cursors, func(leaf, value int) { visit(row, leaf, value) })
		for i := range cursors {
			ok = ok && cursors[i].level == cursors[i].end
		}
		if !ok {
			return levelsDisagree(c.name, row)
		}
	}
	return nil
}

// fold visits the values of one entry of the parent. It returns false when a leaf ran out of levels.
func (n *node) fold(cursors []cursor, visit func(leaf, value int)) bool {
	for {
		if n.children == nil && n.leaves == 1 {
			cu := &cursors[n.leaf]
			if cu.level >= cu.end {
				return false
			}
			if cu.vec.Def == nil || cu.vec.Def[cu.level] == cu.maxDef {
				visit(n.leaf, cu.value)
				cu.value++
			}
			cu.level++
		}
		for _, child := range n.children {
			if !child.fold(cursors, visit) {
				return false
			}
		}
		if n.rep == 0 || n.leaves == 0 {
			return true
		}
		// An entry of the same list goes on at this node's own level; a lower one ends the list.
		cu := &cursors[n.leaf]
		if cu.level >= cu.end || cu.vec.Rep[cu.level] != n.rep {
			return true
		}
	}
}
