package verify

import (
	"slices"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/contenthash"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

// source says where one side has a column: in leaf of its files, or in directory column dir.
type source struct {
	leaf, dir int // one of them is -1
	column    *schema.Column
}

// pair is one leaf column that both sides have.
type pair struct {
	name string
	side [2]source
	dir  bool // a directory column on one side at least: "" is null there
}

// matching is what is compared.
type matching struct {
	columns      []pair
	onlyA, onlyB []string
}

// match pairs the columns of two data sets by name.
func match(a, b *dataset) (*matching, error) {
	namesA, err := a.columns()
	if err != nil {
		return nil, err
	}
	namesB, err := b.columns()
	if err != nil {
		return nil, err
	}
	m := &matching{}
	for _, name := range namesA {
		if !slices.Contains(namesB, name) {
			m.onlyA = append(m.onlyA, name)
			continue
		}
		pairs, err := matchColumn(a, b, name)
		if err != nil {
			return nil, err
		}
		m.columns = append(m.columns, pairs...)
	}
	for _, name := range namesB {
		if !slices.Contains(namesA, name) {
			m.onlyB = append(m.onlyB, name)
		}
	}
	if len(m.columns) == 0 {
		return nil, model.Failf(model.ReasonUser, "%s and %s have no column in common", a.path, b.path)
	}
	return m, nil
}

func matchColumn(a, b *dataset, name string) ([]pair, error) {
	fa, fb := a.field(name), b.field(name)
	switch {
	case fa >= 0 && fb >= 0:
		return matchFields(a, b, fa, fb)
	case fa < 0 && fb < 0:
		// Text on both sides: there is no type to read it as.
		text := textColumn(name)
		s := func(d *dataset) source { return source{leaf: -1, dir: slices.Index(d.dirs, name), column: text} }
		return []pair{{name: name, side: [2]source{s(a), s(b)}, dir: true}}, nil
	}
	files, dirs, field := a, b, fa
	if fa < 0 {
		files, dirs, field = b, a, fb
	}
	leaves := files.leaves(field)
	if files.schema.Root().Field(field).Type() != schema.Primitive || files.schema.Column(leaves[0]).MaxRepetitionLevel() > 0 {
		return nil, model.Failf(model.ReasonUser, "column %q cannot be compared: it is nested (%s) but lies in directory names of %s",
			name, files.describe(field), dirs.path)
	}
	column := files.schema.Column(leaves[0])
	p := pair{name: name, dir: true}
	p.side[0] = source{leaf: leaves[0], dir: -1, column: column}
	p.side[1] = source{leaf: -1, dir: slices.Index(dirs.dirs, name), column: column}
	if files == b {
		p.side[0], p.side[1] = p.side[1], p.side[0]
	}
	return []pair{p}, nil
}

// matchFields pairs the leaves of a column that lies in the files of both sides. A flat column may be
// optional on one side and required on the other; nested ones must be equal but for field ids,
// because their levels are part of the hash.
func matchFields(a, b *dataset, fa, fb int) ([]pair, error) {
	na, nb := a.schema.Root().Field(fa), b.schema.Root().Field(fb)
	la, lb := a.leaves(fa), b.leaves(fb)
	same := len(la) == len(lb) && parquet.Describe(na) == parquet.Describe(nb) && na.Type() == nb.Type()
	flat := na.Type() == schema.Primitive
	var out []pair
	for i := 0; same && i < len(la); i++ {
		ca, cb := a.schema.Column(la[i]), b.schema.Column(lb[i])
		same = ca.Path() == cb.Path() && ca.MaxRepetitionLevel() == cb.MaxRepetitionLevel() &&
			ca.PhysicalType() == cb.PhysicalType() && fixedLength(ca) == fixedLength(cb) &&
			parquet.Describe(ca.SchemaNode()) == parquet.Describe(cb.SchemaNode()) &&
			(flat || ca.MaxDefinitionLevel() == cb.MaxDefinitionLevel())
		out = append(out, pair{name: ca.Path(), side: [2]source{{leaf: la[i], dir: -1, column: ca}, {leaf: lb[i], dir: -1, column: cb}}})
	}
	if !same {
		return nil, model.Failf(model.ReasonUser, "column %q cannot be compared: %s but %s%s", na.Name(), a.describe(fa), b.describe(fb), inside(na, nb))
	}
	return out, nil
}

// fixedLength is the length of the values of a fixed-length type. Other types have no length, and what
// arrow-go gives as theirs depends on whether a footer has the logical type or only the converted one.
func fixedLength(c *schema.Column) int {
	if c.PhysicalType() != arrowparquet.Types.FixedLenByteArray {
		return 0
	}
	return c.TypeLength()
}

// inside is a hint for types that read the same at the top.
func inside(a, b schema.Node) string {
	if parquet.Describe(a) == parquet.Describe(b) {
		return "; they differ inside or in their physical type"
	}
	return ""
}

// textColumn is the column that a directory's text is read as where nothing says otherwise.
func textColumn(name string) *schema.Column {
	optional, required := arrowparquet.Repetitions.Optional, arrowparquet.Repetitions.Required
	node := schema.MustPrimitive(schema.NewPrimitiveNodeLogical(name, optional, schema.StringLogicalType{}, arrowparquet.Types.ByteArray, 0, -1))
	root := schema.MustGroup(schema.NewGroupNode("schema", required, schema.FieldList{node}, -1))
	return schema.NewSchema(root).Column(0)
}

// hasher makes the hasher of one side; both hash under A's names.
func (m *matching) hasher(side int) (*contenthash.Hasher, error) {
	names := make([]string, len(m.columns))
	leaves := make([]*schema.Column, len(m.columns))
	for i, c := range m.columns {
		names[i], leaves[i] = c.name, c.side[side].column
	}
	h, err := contenthash.New(names, leaves)
	if err != nil {
		return nil, err
	}
	for i, c := range m.columns {
		if c.dir {
			h.EmptyAsNull(i)
		}
	}
	return h, nil
}

// parseDir reads a directory's text as the column's type.
func parseDir(column *schema.Column, v dirValue) ([]byte, error) {
	if v.null {
		return nil, nil
	}
	leaf, err := spark.NewLeaf(column)
	if err != nil {
		return nil, err
	}
	return leaf.ParseString(nil, v.text)
}
