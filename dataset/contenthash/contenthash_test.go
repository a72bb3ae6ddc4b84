package contenthash

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/parquettest"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

const sparkData = "../spark/testdata/"

// testdata/content.json holds what the SQL of the package comment gave on Spark 4.3
// (../spark/testdata/vectors.py).
func TestContentHashEqualsSparkSQL(t *testing.T) {
	b, err := os.ReadFile("testdata/content.json")
	if err != nil {
		t.Fatal(err)
	}
	var want model.ContentHash
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	sc, vecs := parquettest.Read(t, sparkData+"hash_vectors.parquet")
	var leaves []*schema.Column
	var data []*column.Vector
	for _, c := range want.Columns {
		i := sc.ColumnIndexByName(c.Name)
		leaves, data = append(leaves, sc.Column(i)), append(data, vecs[i])
	}
	if len(leaves) < 15 || want.Rows != 3000 {
		t.Fatalf("content.json has %d columns and %d rows", len(leaves), want.Rows)
	}
	if got := hashOf(t, leaves, data); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// hashOf adds one batch, each leaf from a goroutine of its own.
func hashOf(t testing.TB, leaves []*schema.Column, vecs []*column.Vector) model.ContentHash {
	t.Helper()
	h, err := New(nil, leaves)
	if err != nil {
		t.Fatal(err)
	}
	addBatch(t, h, vecs)
	return h.Sum()
}

func addBatch(t testing.TB, h *Hasher, vecs []*column.Vector) {
	t.Helper()
	b := h.Batch(vecs[0].Rows)
	var wg sync.WaitGroup
	for i, v := range vecs {
		wg.Go(func() {
			if err := b.Add(i, v); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.Done(); err != nil {
		t.Fatal(err)
	}
}

// Nested leaves have no referee; their numbers are pinned here because receipts show them.
func TestNestedHashesNeverChange(t *testing.T) {
	sc, vecs := parquettest.Read(t, sparkData+"types.parquet")
	var leaves []*schema.Column
	var data []*column.Vector
	for i, v := range vecs {
		if strings.Contains(sc.Column(i).Path(), ".") {
			leaves, data = append(leaves, sc.Column(i)), append(data, v)
		}
	}
	got := hashOf(t, leaves, data)
	want := model.ContentHash{Rows: 12, RowSum: 0xefe26f524f9d51d1, Columns: []model.ColumnHash{
		{Name: "list_struct.list.element.x", Sum: 0x3d8e44d3fe5fb5ed},
		{Name: "list_struct.list.element.y", Sum: 0x15148b73cb6b616a},
		{Name: "list_list.list.element.list.element", Sum: 0x585a197b0c93a7c9},
		{Name: "struct_lists.p.list.element.x", Sum: 0x9c7bab4b756ac5bb},
		{Name: "struct_lists.p.list.element.y", Sum: 0xfd44095a13ca13a6},
		{Name: "struct_lists.q.list.element", Sum: 0x5910ca125e535f37},
		{Name: "struct_lists.r", Sum: 0x6733b175a284c376},
		{Name: "list_struct_list.list.element.k", Sum: 0xdd225c1f0f1fcce},
		{Name: "list_struct_list.list.element.v.list.element", Sum: 0x5794fc039bcebe7e},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
	for i, leaf := range leaves {
		l, err := spark.NewLeaf(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if sum := dumbNested(leaf.Path(), l, data[i]); model.HashSum(sum) != got.Columns[i].Sum {
			t.Errorf("%s: got %d, by definition %d", leaf.Path(), got.Columns[i].Sum, sum)
		}
	}
}

// dumbNested is the column hash by definition: level entries in order, a new row at repetition level 0.
func dumbNested(name string, l *spark.Leaf, v *column.Vector) uint64 {
	total, cell, value := uint64(0), []uint64{0}, 0
	for i := range v.NumLevels() {
		def, rep := v.Def[i], int16(0)
		if v.Rep != nil {
			rep = v.Rep[i]
		}
		if rep == 0 {
			total += cell[0]
			cell[0] = spark.XXHashBytes([]byte(name), spark.Seed)
		}
		cell[0] = spark.XXHashInt(uint32(rep)*65536+uint32(def), cell[0])
		if def == v.Leaf.MaxDefinitionLevel() {
			l.XXHash64(&v.Values, value, cell)
			value++
		}
	}
	return total + cell[0]
}

func flatSchema(t testing.TB) []*schema.Column {
	t.Helper()
	sc := schema.NewSchema(schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{
		schema.MustPrimitive(schema.NewPrimitiveNodeLogical("s", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)),
		schema.NewInt64Node("n", parquet.Repetitions.Required, -1),
		schema.NewFloat64Node("f", parquet.Repetitions.Optional, -1),
	}, -1)))
	return []*schema.Column{sc.Column(0), sc.Column(1), sc.Column(2)}
}

// dumbHash is the definition for flat columns, cell by cell.
func dumbHash(t testing.TB, leaves []*schema.Column, rows [][][]byte) model.ContentHash {
	out := model.ContentHash{Rows: int64(len(rows))}
	for _, leaf := range leaves {
		out.Columns = append(out.Columns, model.ColumnHash{Name: leaf.Path()})
	}
	for _, row := range rows {
		sum := uint64(0)
		for i, b := range row {
			cell := []uint64{spark.XXHashBytes([]byte(leaves[i].Path()), spark.Seed)}
			if b != nil {
				l, err := spark.NewLeaf(leaves[i])
				if err != nil {
					t.Fatal(err)
				}
				vals := column.Values{Width: column.Width(leaves[i])}
				vals.AppendBytes(b)
				l.XXHash64(&vals, 0, cell)
			}
			out.Columns[i].Sum += model.HashSum(cell[0])
			sum += cell[0]
		}
		out.RowSum += model.HashSum(spark.XXHashLong(sum, spark.Seed))
	}
	return out
}

func TestHashEqualsDumbTwinInAnyBatches(t *testing.T) {
	leaves := flatSchema(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 3, stripeRows - 1, stripeRows, stripeRows + 1, 3 * stripeRows}).Draw(rt, "rows")
		nulls := rapid.IntRange(1, 5).Draw(rt, "nulls")
		rows := make([][][]byte, n)
		x := rapid.Uint64().Draw(rt, "seed") | 1
		for i := range rows {
			x = x*6364136223846793005 + 1442695040888963407
			word := binary.LittleEndian.AppendUint64(nil, x)
			rows[i] = [][]byte{word[:x>>60%9], word, word}
			if int(x>>40%5) < nulls {
				rows[i][0] = nil
			}
			if int(x>>45%5) >= nulls {
				rows[i][2] = nil
			}
		}
		h, err := New(nil, leaves)
		if err != nil {
			rt.Fatal(err)
		}
		for from := 0; from < n; {
			to := from + rapid.IntRange(1, n-from).Draw(rt, "batch")
			var vecs []*column.Vector
			for i, leaf := range leaves {
				var cells [][]byte
				for _, r := range rows[from:to] {
					cells = append(cells, r[i])
				}
				vecs = append(vecs, parquettest.Vector(t, leaf, cells...))
			}
			addBatch(t, h, vecs)
			from = to
		}
		if got, want := h.Sum(), dumbHash(t, leaves, rows); !reflect.DeepEqual(got, want) {
			rt.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestSwappedValuesAreFound(t *testing.T) {
	leaves := flatSchema(t)
	one, two, x := make([]byte, 8), make([]byte, 8), make([]byte, 8)
	one[0], two[0] = 1, 2
	hash := func(n ...[]byte) model.ContentHash {
		return hashOf(t, leaves, []*column.Vector{
			parquettest.Vector(t, leaves[0], []byte("a"), []byte("b")),
			parquettest.Vector(t, leaves[1], n...),
			parquettest.Vector(t, leaves[2], x, nil),
		})
	}
	a, b := hash(one, two), hash(two, one)
	if !reflect.DeepEqual(a.Columns, b.Columns) {
		t.Error("a column's hash must not depend on the order of rows")
	}
	if a.RowSum == b.RowSum {
		t.Error("values that changed rows were not found")
	}
}

func TestConstantEqualsColumn(t *testing.T) {
	leaves := flatSchema(t)[:1]
	for _, value := range [][]byte{nil, {}, []byte("appOpen")} {
		var cells [][]byte
		for range stripeRows + 5 {
			cells = append(cells, value)
		}
		want := hashOf(t, leaves, []*column.Vector{parquettest.Vector(t, leaves[0], cells...)})
		h, err := New([]string{"s"}, leaves)
		if err != nil {
			t.Fatal(err)
		}
		b := h.Batch(len(cells))
		if err := b.AddConstant(0, value, value == nil); err != nil {
			t.Fatal(err)
		}
		if err := b.Done(); err != nil {
			t.Fatal(err)
		}
		if got := h.Sum(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", value, got, want)
		}
	}
}

func TestEmptyAsNull(t *testing.T) {
	leaves := flatSchema(t)[:1]
	want := hashOf(t, leaves, []*column.Vector{parquettest.Vector(t, leaves[0], nil, []byte("a"), nil)})
	plain := hashOf(t, leaves, []*column.Vector{parquettest.Vector(t, leaves[0], nil, []byte("a"), []byte{})})
	h, err := New(nil, leaves)
	if err != nil {
		t.Fatal(err)
	}
	h.EmptyAsNull(0)
	addBatch(t, h, []*column.Vector{parquettest.Vector(t, leaves[0], nil, []byte("a"), []byte{})})
	if got := h.Sum(); !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, plain) {
		t.Errorf("got %+v, want %+v; without: %+v", got, want, plain)
	}
}

func TestMistakesOfTheCallerAreErrors(t *testing.T) {
	leaves := flatSchema(t)
	if _, err := New([]string{"one"}, leaves); err == nil {
		t.Error("one name for three leaves")
	}
	h, err := New(nil, leaves)
	if err != nil {
		t.Fatal(err)
	}
	b := h.Batch(1)
	v := parquettest.Vector(t, leaves[1], make([]byte, 8))
	if err := b.Add(1, v); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(1, v); err == nil {
		t.Error("a leaf was added twice")
	}
	if err := b.AddConstant(2, []byte("short"), false); err == nil {
		t.Error("a double of five bytes")
	}
	if err := b.Add(0, parquettest.Vector(t, leaves[0], nil, nil)); err == nil {
		t.Error("two rows in a batch of one")
	}
	if err := h.Batch(1).Done(); err == nil {
		t.Error("a batch without columns")
	}
	if got := h.Sum(); got.Rows != 0 || got.RowSum != 0 {
		t.Errorf("failed batches were counted: %+v", got)
	}
}

func BenchmarkAdd(b *testing.B) {
	sc, vecs := parquettest.Read(b, sparkData+"hash_vectors.parquet")
	for _, name := range []string{"row", "i64", "f64", "b", "s", "d38_10", "ls.list.element"} {
		i := sc.ColumnIndexByName(name)
		h, err := New(nil, []*schema.Column{sc.Column(i)})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				batch := h.Batch(vecs[i].Rows)
				if err := batch.Add(0, vecs[i]); err != nil {
					b.Fatal(err)
				}
				if err := batch.Done(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(vecs[i].Rows), "ns/cell")
		})
	}
}
