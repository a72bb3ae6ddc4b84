package partition

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/hive"
	"github.com/sluice-engine/sluice/dataset/parquettest"
	"github.com/sluice-engine/sluice/dataset/spark"
	"github.com/sluice-engine/sluice/model"
)

const goldenFile = "../../dataset/spark/testdata/hash_vectors.parquet"

func pick(vecs []*column.Vector, leaves []int) []*column.Vector {
	var out []*column.Vector
	for _, l := range leaves {
		out = append(out, vecs[l])
	}
	return out
}

func TestHashPartitionsEqualSpark(t *testing.T) {
	sc, vecs := parquettest.Read(t, goldenFile)
	for _, n := range []int{1, 2, 7, 16, 200, 500} {
		a, err := New(model.Partitioning{Kind: model.PartitionHash, N: n, By: []string{"s"}}, sc)
		if err != nil {
			t.Fatal(err)
		}
		rows := vecs[0].Rows
		ids := make([]uint32, rows)
		if err := a.Assign(Source{}, pick(vecs, a.Leaves()), rows, ids); err != nil {
			t.Fatal(err)
		}
		want := vecs[sc.ColumnIndexByName("p_s_"+strconv.Itoa(n))]
		for row, id := range ids {
			b, ok := want.Value(row)
			if key := a.Key(id); !ok || key.Bucket != binary.LittleEndian.Uint32(b) || key.Path != "" {
				t.Fatalf("pmod(hash(s), %d) in row %d: got %v, Spark says %d", n, row, key, b)
			}
		}
	}
}

// These numbers, from the reference implementation of xxh3, decide where rows lie: they are part of the format.
// A change here breaks every map
// output in flight and every job that is resumed.
func TestPlacementNeverChanges(t *testing.T) {
	for path, want := range map[string][2]uint32{ // of 1024 and of 1000 buckets
		"":                                      {180, 175},
		"type=appOpen":                          {227, 221},
		"type=purchase":                         {987, 964},
		"type=__HIVE_DEFAULT_PARTITION__":       {293, 286},
		"day=2021-08-28/type=a%2Fb":             {572, 559},
		"name=漢字":                               {832, 812},
		"x=" + strings.Repeat("0123456789", 30): {796, 777},
	} {
		if got := [2]uint32{BucketOf(path, 1024), BucketOf(path, 1000)}; got != want {
			t.Errorf("%q: %v, was %v", path, got, want)
		}
	}
	for src, want := range map[Source]uint64{
		{RelPath: "part-00000.parquet", RowGroup: 0}:        617,
		{RelPath: "part-00000.parquet", RowGroup: 1}:        483,
		{RelPath: "day=2021-08-28/a.parquet", RowGroup: 12}: 276,
	} {
		if got := roundRobinStart(src, 1000); got != want {
			t.Errorf("%v: %d, was %d", src, got, want)
		}
	}
}

func TestRoundRobinDoesNotDependOnBatches(t *testing.T) {
	sc := testSchema(t)
	const n, rows = 7, 1000
	assign := func(batch int) []uint32 {
		a, err := New(model.Partitioning{Kind: model.PartitionRoundRobin, N: n}, sc)
		if err != nil {
			t.Fatal(err)
		}
		var out []uint32
		for from := 0; from < rows; from += batch {
			ids := make([]uint32, min(batch, rows-from))
			if err := a.Assign(Source{RelPath: "a", RowGroup: 3, FirstRow: int64(from)}, nil, len(ids), ids); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				out = append(out, a.Key(id).Bucket)
			}
		}
		return out
	}
	want := assign(rows)
	start := uint32(roundRobinStart(Source{RelPath: "a", RowGroup: 3}, n))
	for i, b := range want {
		if b != (start+uint32(i))%n {
			t.Fatalf("row %d lies in %d", i, b)
		}
	}
	for _, batch := range []int{1, 6, 7, 8, 333} {
		if !slices.Equal(assign(batch), want) {
			t.Errorf("batches of %d rows are placed differently", batch)
		}
	}
}

// testSchema has two text columns, a number, a double and a list.
func testSchema(t testing.TB) *schema.Schema {
	t.Helper()
	text := func(name string) schema.Node {
		return schema.MustPrimitive(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1))
	}
	list, err := schema.ListOf(schema.NewInt32Node("tags", parquet.Repetitions.Optional, -1), parquet.Repetitions.Optional, -1)
	if err != nil {
		t.Fatal(err)
	}
	return schema.NewSchema(schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{
		text("type"), text("country"),
		schema.NewInt32Node("n", parquet.Repetitions.Required, -1),
		schema.NewFloat64Node("amount", parquet.Repetitions.Optional, -1),
		list,
		schema.MustPrimitive(schema.NewPrimitiveNodeLogical("gap", parquet.Repetitions.Optional, schema.IntervalLogicalType{}, parquet.Types.FixedLenByteArray, 12, -1)),
	}, -1)))
}

func TestNullAndEmptyAreOnePartition(t *testing.T) {
	sc := testSchema(t)
	a, err := New(model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"type"}, Buckets: 1024}, sc)
	if err != nil {
		t.Fatal(err)
	}
	v := parquettest.Vector(t, sc.Column(0), []byte("a"), nil, []byte{}, []byte("a"), []byte(hive.DefaultPartition), []byte{}, nil)
	ids := make([]uint32, v.Rows)
	if err := a.Assign(Source{}, []*column.Vector{v}, v.Rows, ids); err != nil {
		t.Fatal(err)
	}
	if want := []uint32{0, 1, 1, 0, 2, 1, 1}; !slices.Equal(ids, want) {
		t.Errorf("ids %d, want %d", ids, want)
	}
	if a.EmptyText() != 2 || a.NumKeys() != 3 {
		t.Errorf("%d empty texts and %d partitions, want 2 and 3", a.EmptyText(), a.NumKeys())
	}
	for id, path := range []string{"type=a", "type=__HIVE_DEFAULT_PARTITION__", "type=%5F_HIVE_DEFAULT_PARTITION__"} {
		if want := (model.PartitionKey{Bucket: BucketOf(path, 1024), Path: path}); a.Key(uint32(id)) != want {
			t.Errorf("id %d: got %v, want %v", id, a.Key(uint32(id)), want)
		}
	}
}

// goldenTypes are the types of hive_paths.json as Spark stores them in Parquet.
var goldenTypes = map[string]struct {
	logical  schema.LogicalType
	physical parquet.Type
	length   int
}{
	"string":         {schema.StringLogicalType{}, parquet.Types.ByteArray, 0},
	"int":            {schema.NoLogicalType{}, parquet.Types.Int32, 0},
	"bigint":         {schema.NoLogicalType{}, parquet.Types.Int64, 0},
	"boolean":        {schema.NoLogicalType{}, parquet.Types.Boolean, 0},
	"double":         {schema.NoLogicalType{}, parquet.Types.Double, 0},
	"float":          {schema.NoLogicalType{}, parquet.Types.Float, 0},
	"decimal(12,2)":  {schema.NewDecimalLogicalType(12, 2), parquet.Types.Int64, 0},
	"decimal(38,10)": {schema.NewDecimalLogicalType(38, 10), parquet.Types.FixedLenByteArray, 16},
	"date":           {schema.DateLogicalType{}, parquet.Types.Int32, 0},
	"timestamp":      {schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0},
	"timestamp_ntz":  {schema.NewTimestampLogicalType(false, schema.TimeUnitMicros), parquet.Types.Int64, 0},
	"binary":         {schema.NoLogicalType{}, parquet.Types.ByteArray, 0},
}

func TestPathsEqualSpark(t *testing.T) {
	b, err := os.ReadFile("../../dataset/hive/testdata/hive_paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Type  string  `json:"type"`
		Value *string `json:"value"`
		Dir   string  `json:"dir"`
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		typ, ok := goldenTypes[c.Type]
		if !ok {
			t.Fatalf("no type for %s", c.Type)
		}
		sc := schema.NewSchema(schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{
			schema.MustPrimitive(schema.NewPrimitiveNodeLogical("v", parquet.Repetitions.Optional, typ.logical, typ.physical, typ.length, -1)),
			schema.NewInt32Node("rest", parquet.Repetitions.Required, -1),
		}, -1)))
		leaf, err := spark.NewLeaf(sc.Column(0))
		if err != nil {
			t.Fatal(err)
		}
		var value []byte
		switch {
		case c.Value == nil:
		case c.Type == "binary":
			value, err = hex.DecodeString(*c.Value)
		default:
			value, err = leaf.ParseString([]byte{}, *c.Value)
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(model.Partitioning{Kind: model.PartitionNone, PartitionBy: []string{"v"}}, sc)
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]uint32, 1)
		if err := a.Assign(Source{}, []*column.Vector{parquettest.Vector(t, sc.Column(0), value)}, 1, ids); err != nil {
			t.Fatal(err)
		}
		want := c.Dir
		if c.Value != nil && *c.Value == hive.DefaultPartition {
			want = "v=%5F_HIVE_DEFAULT_PARTITION__"
		}
		if got := a.Key(ids[0]); got.Path != want || got.Bucket != 0 {
			t.Errorf("%s: got %v, Spark says %s", c.Type, got, c.Dir)
		}
	}
}

// dumbKey is what a row's key is by definition.
func dumbKey(t *rapid.T, p model.Partitioning, sc *schema.Schema, vecs map[string]*column.Vector, src Source, row int) model.PartitionKey {
	var dirs []string
	for _, name := range p.PartitionBy {
		c, err := spark.NewColumn(sc, sc.Root().FieldIndexByName(name))
		if err != nil {
			t.Fatal(err)
		}
		b, ok := vecs[name].Value(row)
		var text []byte
		if ok {
			if text, err = c.AppendString(nil, b); err != nil {
				t.Fatal(err)
			}
		}
		dir, err := hive.Dir(name, text, !ok)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	key := model.PartitionKey{Path: strings.Join(dirs, "/")}
	switch p.Kind {
	case model.PartitionValue:
		key.Bucket = BucketOf(key.Path, p.Buckets)
	case model.PartitionRoundRobin:
		key.Bucket = uint32((roundRobinStart(src, uint64(p.N)) + uint64(src.FirstRow) + uint64(row)) % uint64(p.N))
	case model.PartitionHash:
		h := []int32{spark.Seed}
		for _, name := range p.By {
			c, err := spark.NewColumn(sc, sc.Root().FieldIndexByName(name))
			if err != nil {
				t.Fatal(err)
			}
			one := column.New(vecs[name].Leaf)
			one.Rows = 1
			b, ok := vecs[name].Value(row)
			if one.Leaf.MaxDefinitionLevel() > 0 {
				one.Def = []int16{0}
				if ok {
					one.Def[0] = 1
				}
			}
			if ok {
				one.Values.AppendBytes(b)
			}
			one.Index()
			if err := c.Murmur3([]*column.Vector{one}, h); err != nil {
				t.Fatal(err)
			}
		}
		m := int64(h[0]) % int64(p.N)
		if m < 0 {
			m += int64(p.N)
		}
		key.Bucket = uint32(m)
	}
	return key
}

func TestAssignerEqualsDumbTwin(t *testing.T) {
	sc := testSchema(t)
	columns := []string{"type", "country", "n", "amount"}
	texts := rapid.SampledFrom([]string{"", "a", "b", "a/b", "ü", hive.DefaultPartition, "\xff", strings.Repeat("x", 100)})
	numbers := rapid.SampledFrom([]uint64{0, 1, 2, math.Float64bits(0.1), 1 << 63, math.Float64bits(math.NaN()), math.Float64bits(math.NaN()) + 1})
	rapid.Check(t, func(rt *rapid.T) {
		p := model.Partitioning{
			Kind: rapid.SampledFrom([]model.PartitionerKind{model.PartitionValue, model.PartitionHash, model.PartitionRoundRobin, model.PartitionNone}).Draw(rt, "kind"),
			N:    rapid.IntRange(1, 5).Draw(rt, "n"), Buckets: rapid.SampledFrom([]int{1, 2, 1024}).Draw(rt, "buckets"),
		}
		p.PartitionBy = rapid.Permutation(columns).Draw(rt, "columns")[:rapid.IntRange(0, 3).Draw(rt, "by")]
		if p.Kind == model.PartitionValue && len(p.PartitionBy) == 0 {
			p.PartitionBy = columns[:1]
		}
		if p.Kind == model.PartitionHash {
			p.By = rapid.Permutation(columns).Draw(rt, "hash columns")[:rapid.IntRange(1, 3).Draw(rt, "hashed")]
		}
		a, err := New(p, sc)
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[model.PartitionKey]uint32{}
		for batch := range 3 {
			rows := rapid.IntRange(0, 40).Draw(rt, "rows")
			all := []*column.Vector{column.New(sc.Column(0)), column.New(sc.Column(1)), column.New(sc.Column(2)), column.New(sc.Column(3))}
			byName := map[string]*column.Vector{}
			for i, v := range all {
				v.Rows = rows
				for range rows {
					if v.Leaf.MaxDefinitionLevel() > 0 {
						d := rapid.Int16Range(0, 1).Draw(rt, "def")
						v.Def = append(v.Def, d)
						if d == 0 {
							continue
						}
					}
					if v.Values.Width == 0 {
						v.Values.AppendBytes([]byte(texts.Draw(rt, "text")))
					} else {
						v.Values.AppendBytes(binary.LittleEndian.AppendUint64(nil, numbers.Draw(rt, "number"))[:v.Values.Width])
					}
				}
				v.Index()
				byName[columns[i]] = v
			}
			src := Source{RelPath: fmt.Sprintf("f%d", batch), RowGroup: batch, FirstRow: rapid.Int64Range(0, 1<<40).Draw(rt, "first")}
			ids := make([]uint32, rows)
			if err := a.Assign(src, pick(all, a.Leaves()), rows, ids); err != nil {
				rt.Fatal(err)
			}
			for row, id := range ids {
				want := dumbKey(rt, p, sc, byName, src, row)
				number, ok := seen[want]
				if !ok { // the first row of a partition gets the next number
					number = uint32(len(seen))
					seen[want] = number
				}
				if id != number || a.Key(id) != want {
					rt.Fatalf("%v row %d: got id %d, %v; want %d, %v", p, row, id, a.Key(id), number, want)
				}
			}
		}
		if a.NumKeys() != len(seen) {
			rt.Fatalf("%d keys, want %d", a.NumKeys(), len(seen))
		}
	})
}

func TestWrongColumnsAreNamed(t *testing.T) {
	sc := testSchema(t)
	for want, p := range map[string]model.Partitioning{
		`no column "typ": did you mean "type"?`:     {Kind: model.PartitionValue, Buckets: 1, PartitionBy: []string{"typ"}},
		`no column "TYPE": did you mean "type"?`:    {Kind: model.PartitionValue, Buckets: 1, PartitionBy: []string{"TYPE"}},
		`no column "amuont": did you mean "amount"`: {Kind: model.PartitionHash, N: 2, By: []string{"amuont"}},
		`no column "nap": did you mean "gap"?`:      {Kind: model.PartitionHash, N: 2, By: []string{"nap"}},
		"column tags is nested":                     {Kind: model.PartitionNone, PartitionBy: []string{"tags"}},
		"column gap of type":                        {Kind: model.PartitionNone, PartitionBy: []string{"gap"}},
		"want 1 to":                                 {Kind: model.PartitionHash, By: []string{"n"}},
		"no column is left":                         {Kind: model.PartitionNone, PartitionBy: []string{"type", "country", "n", "amount", "type", "n"}},
		"unknown partitioner":                       {Kind: "rnage"},
		"needs a column: give --partition-by":       {Kind: model.PartitionValue, Buckets: 1},
		"needs a column: give --by":                 {Kind: model.PartitionHash, N: 1},
	} {
		_, err := New(p, sc)
		var f *model.Failure
		if !errors.As(err, &f) || f.Reason != model.ReasonUser || !strings.Contains(f.Message, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := New(model.Partitioning{Kind: model.PartitionHash, N: 2, By: []string{"tags"}}, sc); err != nil {
		t.Errorf("a list can be hashed: %v", err)
	}
}

func TestValueThatNoDirectoryCanHold(t *testing.T) {
	sc := testSchema(t)
	a, err := New(model.Partitioning{Kind: model.PartitionValue, Buckets: 8, PartitionBy: []string{"type"}}, sc)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"a\x00b", strings.Repeat("x", 300)} {
		v := parquettest.Vector(t, sc.Column(0), []byte("a"), []byte(bad))
		err := a.Assign(Source{}, []*column.Vector{v}, 2, make([]uint32, 2))
		var f *model.Failure
		if !errors.As(err, &f) || f.Reason != model.ReasonUser || !strings.Contains(f.Message, `"type"`) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAssignDoesNotAllocatePerRow(t *testing.T) {
	a, vecs, rows := eventBatch(t, model.Partitioning{Kind: model.PartitionHash, N: 16, By: []string{"country"}, PartitionBy: []string{"type", "country"}})
	ids := make([]uint32, rows)
	allocs := testing.AllocsPerRun(5, func() {
		if err := a.Assign(Source{RelPath: "a"}, vecs, rows, ids); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 8 {
		t.Errorf("%.0f allocations for %d rows", allocs, rows)
	}
}

// eventBatch is a batch of 500 types and 30 countries in no order.
func eventBatch(t testing.TB, p model.Partitioning) (*Assigner, []*column.Vector, int) {
	t.Helper()
	sc := testSchema(t)
	a, err := New(p, sc)
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1 << 16
	var types, countries [][]byte
	for i := range uint32(rows) {
		x := i * 2654435761 >> 8
		types = append(types, fmt.Appendf(nil, "eventType%d", x%500*(x>>12%4)))
		countries = append(countries, fmt.Appendf(nil, "c%d", x%30))
	}
	all := []*column.Vector{parquettest.Vector(t, sc.Column(0), types...), parquettest.Vector(t, sc.Column(1), countries...)}
	return a, pick(all, a.Leaves()), rows
}

func BenchmarkAssign(b *testing.B) {
	for _, p := range []model.Partitioning{
		{Kind: model.PartitionValue, Buckets: 1024, PartitionBy: []string{"type"}},
		{Kind: model.PartitionValue, Buckets: 1024, PartitionBy: []string{"type", "country"}},
		{Kind: model.PartitionHash, N: 16, By: []string{"country"}},
		{Kind: model.PartitionHash, N: 16, By: []string{"country"}, PartitionBy: []string{"type"}},
		{Kind: model.PartitionRoundRobin, N: 16},
	} {
		b.Run(p.String(), func(b *testing.B) {
			a, vecs, rows := eventBatch(b, p)
			ids := make([]uint32, rows)
			for b.Loop() {
				if err := a.Assign(Source{RelPath: "a"}, vecs, rows, ids); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
		})
	}
}
