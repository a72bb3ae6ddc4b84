package contenthash

import (
	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/spark"
)

// flatCells computes the cells of the rows from, from+1, ... of a flat leaf.
func (l *leaf) flatCells(v *column.Vector, from int, cells []uint64) {
	for i := range cells {
		cells[i] = l.seed
	}
	first, _ := v.ValueRange(from)
	_, end := v.ValueRange(from + len(cells) - 1)
	n := end - first
	l.eval.XXHash64(&v.Values, first, cells[:n])
	if l.emptyNull && v.Values.Width == 0 {
		for i := range n {
			if len(v.Values.At(first+i)) == 0 {
				cells[i] = l.seed
			}
		}
	}
	if n == len(cells) {
		return
	}
	// The values were hashed packed together; move each to its row, from the back, so that none is
	// overwritten before it moved.
	maxDef := v.Leaf.MaxDefinitionLevel()
	def := v.Def[from : from+len(cells)]
	for i := len(cells) - 1; i >= 0; i-- {
		if def[i] == maxDef {
			n--
			cells[i] = cells[n]
		} else {
			cells[i] = l.seed
		}
	}
}

// nestedCells computes the cells of the rows from, from+1, ... of a leaf in a group or list.
func (l *leaf) nestedCells(v *column.Vector, from int, cells []uint64) {
	maxDef := v.Leaf.MaxDefinitionLevel()
	for i := range cells {
		level, end := v.LevelRange(from + i)
		value, _ := v.ValueRange(from + i)
		cell := [1]uint64{l.seed}
		for ; level < end; level++ {
			var def, rep int16
			if v.Def != nil {
				def = v.Def[level]
			}
			if v.Rep != nil {
				rep = v.Rep[level]
			}
			cell[0] = entry(rep, def, cell[0])
			if def == maxDef {
				l.eval.XXHash64(&v.Values, value, cell[:])
				value++
			}
		}
		cells[i] = cell[0]
	}
}

// entry folds one level entry into a nested cell. A definition level fits into 16 bits: the schema's
// depth is limited to far less.
func entry(rep, def int16, seed uint64) uint64 {
	return spark.XXHashInt(uint32(rep)<<16|uint32(def), seed)
}
