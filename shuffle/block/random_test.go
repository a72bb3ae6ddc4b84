package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// testNode makes a leaf node; tests panic on a bad schema.
func testNode(name string, rep parquet.Repetition, lt schema.LogicalType, t parquet.Type, length int) schema.Node {
	return schema.Must(schema.NewPrimitiveNodeLogical(name, rep, lt, t, length, -1))
}

// testLeaves returns one leaf of every type, flat, as the columns of one schema.
func testTypes(rep parquet.Repetition) schema.FieldList {
	none := schema.NoLogicalType{}
	return schema.FieldList{
		testNode("bool", rep, none, parquet.Types.Boolean, 0),
		testNode("int32", rep, none, parquet.Types.Int32, 0),
		testNode("uint32", rep, schema.NewIntLogicalType(32, false), parquet.Types.Int32, 0),
		testNode("date", rep, schema.DateLogicalType{}, parquet.Types.Int32, 0),
		testNode("int64", rep, none, parquet.Types.Int64, 0),
		testNode("uint64", rep, schema.NewIntLogicalType(64, false), parquet.Types.Int64, 0),
		testNode("timestamp", rep, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0),
		testNode("int96", rep, none, parquet.Types.Int96, 0),
		testNode("float", rep, none, parquet.Types.Float, 0),
		testNode("double", rep, none, parquet.Types.Double, 0),
		testNode("float16", rep, schema.Float16LogicalType{}, parquet.Types.FixedLenByteArray, 2),
		testNode("binary", rep, none, parquet.Types.ByteArray, 0),
		testNode("string", rep, schema.StringLogicalType{}, parquet.Types.ByteArray, 0),
		testNode("uuid", rep, schema.UUIDLogicalType{}, parquet.Types.FixedLenByteArray, 16),
		testNode("dec32", rep, schema.NewDecimalLogicalType(9, 2), parquet.Types.Int32, 0),
		testNode("decfixed", rep, schema.NewDecimalLogicalType(20, 2), parquet.Types.FixedLenByteArray, 9),
		testNode("decbytes", rep, schema.NewDecimalLogicalType(30, 2), parquet.Types.ByteArray, 0),
		testNode("interval", rep, schema.IntervalLogicalType{}, parquet.Types.FixedLenByteArray, 12),
		testNode("flba1", rep, none, parquet.Types.FixedLenByteArray, 1),
	}
}

// testSchema has every type required, optional, in a list, and in a list of lists of structs.
func testSchema() *schema.Schema {
	req, opt, rpt := parquet.Repetitions.Required, parquet.Repetitions.Optional, parquet.Repetitions.Repeated
	group := func(name string, rep parquet.Repetition, f schema.FieldList) schema.Node {
		return schema.Must(schema.NewGroupNode(name, rep, f, -1))
	}
	nested := group("outer", opt, schema.FieldList{
		group("list", rpt, schema.FieldList{
			group("element", opt, schema.FieldList{
				group("list", rpt, schema.FieldList{group("element", req, testTypes(opt))}),
			}),
		}),
	})
	root := group("schema", req, schema.FieldList{
		group("required", req, testTypes(req)),
		group("optional", req, testTypes(opt)),
		group("repeated", req, testTypes(rpt)),
		nested,
	})
	return schema.NewSchema(root.(*schema.GroupNode))
}

func testLeaves(sc *schema.Schema) []*schema.Column {
	leaves := make([]*schema.Column, sc.NumColumns())
	for i := range leaves {
		leaves[i] = sc.Column(i)
	}
	return leaves
}

// leafNamed returns a flat leaf of testSchema, "required.int64" for example.
func leafNamed(t testing.TB, path string) *schema.Column {
	sc := testSchema()
	i := sc.ColumnIndexByName(path)
	if i < 0 {
		t.Fatalf("no column %s", path)
	}
	return sc.Column(i)
}

// vectorGen makes random vectors of a leaf. card is the number of different values, 0 for any;
// nulls is the share of absent values.
type vectorGen struct {
	rng   *rand.Rand
	leaf  *schema.Column
	card  int
	nulls float64
	path  []schema.Node // from below the root to the leaf
}

func newVectorGen(rng *rand.Rand, leaf *schema.Column, card int, nulls float64) *vectorGen {
	g := &vectorGen{rng: rng, leaf: leaf, card: card, nulls: nulls}
	for n := leaf.SchemaNode(); n.Parent() != nil; n = n.Parent() {
		g.path = append(g.path, n)
	}
	slices.Reverse(g.path)
	return g
}

func (g *vectorGen) vector(rows int) *column.Vector {
	v := column.New(g.leaf)
	for range rows {
		g.row(v, 0, 0, 0, 0)
	}
	v.Rows = rows
	v.Index()
	return v
}

// row emits the levels and values below node number depth of the path (Dremel's column striping).
func (g *vectorGen) row(v *column.Vector, depth int, rep, def, maxRep int16) {
	for ; depth < len(g.path); depth++ {
		switch g.path[depth].RepetitionType() {
		case parquet.Repetitions.Optional:
			if g.rng.Float64() < g.nulls {
				g.levels(v, rep, def)
				return
			}
			def++
		case parquet.Repetitions.Repeated:
			maxRep++
			n := g.rng.IntN(4)
			if n == 0 {
				g.levels(v, rep, def)
				return
			}
			for i := range n {
				if i > 0 {
					rep = maxRep
				}
				g.row(v, depth+1, rep, def+1, maxRep)
			}
			return
		}
	}
	g.levels(v, rep, def)
	v.Values.AppendBytes(g.value())
}

func (g *vectorGen) levels(v *column.Vector, rep, def int16) {
	if g.leaf.MaxDefinitionLevel() > 0 {
		v.Def = append(v.Def, def)
	}
	if g.leaf.MaxRepetitionLevel() > 0 {
		v.Rep = append(v.Rep, rep)
	}
}

// value draws a value; floating point ones are now and then NaN, infinite or a zero of either sign.
func (g *vectorGen) value() []byte {
	rng := g.rng
	if g.card > 0 {
		rng = rand.New(rand.NewPCG(uint64(g.rng.IntN(g.card)), 7))
	}
	le64 := func(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }
	switch special := rng.IntN(16); g.leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return []byte{byte(rng.IntN(2))}
	case parquet.Types.Float:
		f := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}
		x := float32(rng.NormFloat64())
		if special < len(f) {
			x = float32(f[special])
		}
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))
	case parquet.Types.Double:
		f := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}
		x := rng.NormFloat64()
		if special < len(f) {
			x = f[special]
		}
		return le64(math.Float64bits(x))
	case parquet.Types.ByteArray:
		n := rng.IntN(12)
		if special == 0 {
			n = 60 + rng.IntN(10) // around MaxStatBytes
		}
		return randomBytes(rng, n)
	}
	return randomBytes(rng, column.Width(g.leaf))
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
		if rng.IntN(4) == 0 {
			b[i] = []byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
		}
	}
	return b
}

// copyRow is the obvious way to gather a row.
func copyRow(dst, src *column.Vector, row int) {
	if src.Leaf.MaxDefinitionLevel() > 0 {
		a, b := src.LevelRange(row)
		dst.Def = append(dst.Def, src.Def[a:b]...)
		if src.Leaf.MaxRepetitionLevel() > 0 {
			dst.Rep = append(dst.Rep, src.Rep[a:b]...)
		}
	}
	a, b := src.ValueRange(row)
	for i := a; i < b; i++ {
		dst.Values.AppendBytes(src.Values.At(i))
	}
	dst.Rows++
}

// diff says how two vectors differ, or nil.
func diff(got, want *column.Vector) error {
	switch {
	case got.Rows != want.Rows:
		return fmt.Errorf("%d rows, want %d", got.Rows, want.Rows)
	case !slices.Equal(got.Def, want.Def):
		return fmt.Errorf("definition levels differ")
	case !slices.Equal(got.Rep, want.Rep):
		return fmt.Errorf("repetition levels differ")
	case got.Values.Len() != want.Values.Len():
		return fmt.Errorf("%d values, want %d", got.Values.Len(), want.Values.Len())
	}
	for i := range want.Values.Len() {
		if string(got.Values.At(i)) != string(want.Values.At(i)) {
			return fmt.Errorf("value %d is %x, want %x", i, got.Values.At(i), want.Values.At(i))
		}
	}
	return nil
}
