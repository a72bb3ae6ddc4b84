package partition

import (
	"bytes"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/hive"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

// dirColumn numbers the directory names of one partition column.
type dirColumn struct {
	name string
	leaf *spark.Leaf
	slot int // position of its vector among the assigner's leaves

	seen  values            // raw value → number of its directory name
	names []string          // directory names, by number
	byDir map[string]uint32 // the identity: values with one name have one number
	null  uint32            // number + 1 of the default partition; 0 before it was met
	empty int64             // rows that hold ""
	text  []byte
}

func newDirColumn(leaf *schema.Column) (*dirColumn, error) {
	l, err := spark.NewLeaf(leaf)
	if err != nil {
		return nil, err
	}
	if !l.HasText() {
		return nil, model.Failf(model.ReasonUser, "column %s of type %s (%s) has no text form and cannot become a directory",
			leaf.Name(), leaf.PhysicalType(), leaf.LogicalType())
	}
	d := &dirColumn{name: leaf.Name(), leaf: l, byDir: map[string]uint32{}}
	// A name that no directory can have is found before the first row.
	_, err = hive.Dir(d.name, nil, true)
	return d, err
}

// assign fills the number of each row's directory name.
func (d *dirColumn) assign(v *column.Vector, out []uint32) error {
	nullable := v.Leaf.MaxDefinitionLevel() > 0
	maxDef := v.Leaf.MaxDefinitionLevel()
	value := 0
	var last []byte // the row before; repeated values cost one comparison
	lastNumber, haveLast := uint32(0), false
	for i := range out {
		if nullable && v.Def[i] != maxDef {
			number, err := d.nullNumber()
			if err != nil {
				return err
			}
			out[i] = number
			continue
		}
		b := v.Values.At(value)
		value++
		if len(b) == 0 {
			d.empty++
		}
		if haveLast && bytes.Equal(b, last) {
			out[i] = lastNumber
			continue
		}
		number, err := d.number(b)
		if err != nil {
			return err
		}
		out[i] = number
		last, lastNumber, haveLast = b, number, true
	}
	return nil
}

// number returns the number of a present value's directory name.
func (d *dirColumn) number(b []byte) (uint32, error) {
	tag, hash, found := d.seen.find(b)
	if found {
		return tag, nil
	}
	text, err := d.leaf.AppendString(d.text[:0], b)
	if err != nil {
		return 0, err
	}
	d.text = text
	name, err := hive.Dir(d.name, text, false)
	if err != nil {
		return 0, err
	}
	number := d.nameNumber(name)
	d.seen.add(b, hash, number)
	return number, nil
}

func (d *dirColumn) nullNumber() (uint32, error) {
	if d.null > 0 {
		return d.null - 1, nil
	}
	name, err := hive.Dir(d.name, nil, true)
	if err != nil {
		return 0, err
	}
	number := d.nameNumber(name)
	d.null = number + 1
	return number, nil
}

func (d *dirColumn) nameNumber(name string) uint32 {
	number, ok := d.byDir[name]
	if !ok {
		number = uint32(len(d.names))
		d.byDir[name] = number
		d.names = append(d.names, name)
	}
	return number
}
