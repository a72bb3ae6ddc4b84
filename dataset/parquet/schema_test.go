package parquet

import (
	"errors"
	"slices"
	"strings"
	"testing"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/model"
)

func TestSchemaRoundTrip(t *testing.T) {
	sc := everyType(t)
	kv := metadata.NewKeyValueMetadata()
	if err := kv.Append("k", "v"); err != nil {
		t.Fatal(err)
	}
	b, err := EncodeSchema(sc, kv)
	if err != nil {
		t.Fatal(err)
	}
	got, gotKV, err := DecodeSchema(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := Compatible(sc, got); err != nil || !got.Equals(sc) {
		t.Errorf("the schema changed: %v", err)
	}
	if v := gotKV.FindValue("k"); v == nil || *v != "v" {
		t.Errorf("the metadata changed: %v", gotKV.Keys())
	}
	for n := range b {
		if _, _, err := DecodeSchema(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(b))
		}
	}
}

func TestProject(t *testing.T) {
	sc := everyType(t)
	out, leaves, err := Project(sc, []string{"list", "struct", "i32_r"})
	if err != nil {
		t.Fatal(err)
	}
	if out.NumColumns() != len(leaves) || out.NumColumns() != sc.NumColumns()-4 {
		t.Fatalf("%d columns, %d leaves of %d", out.NumColumns(), len(leaves), sc.NumColumns())
	}
	for i, in := range leaves {
		a, b := out.Column(i), sc.Column(in)
		if !a.Equals(b) || a.Path() != b.Path() {
			t.Errorf("output leaf %d is %s, input leaf %d is %s", i, a.Path(), in, b.Path())
		}
	}
	if sc.Root().Field(0).Parent() != schema.Node(sc.Root()) {
		t.Error("the input schema was taken apart")
	}
	var f *model.Failure
	if _, _, err := Project(sc, []string{"nope"}); !errors.As(err, &f) || f.Reason != model.ReasonUser {
		t.Errorf("a column that does not exist: %v", err)
	}
	all := strings.Split(columnNames(sc), ", ")
	if _, _, err := Project(sc, all); !errors.As(err, &f) || f.Reason != model.ReasonUser {
		t.Errorf("no column left: %v", err)
	}
}

func TestCompatibleNamesTheDifference(t *testing.T) {
	req, opt := arrowparquet.Repetitions.Required, arrowparquet.Repetitions.Optional
	ty := arrowparquet.Types
	leaf := func(name string, r arrowparquet.Repetition, l schema.LogicalType, p arrowparquet.Type, width int, id int32) schema.Node {
		return schema.Must(schema.NewPrimitiveNodeLogical(name, r, l, p, width, id))
	}
	of := func(fields ...schema.Node) *schema.Schema {
		return schema.NewSchema(schema.MustGroup(schema.NewGroupNode("root", req, fields, -1)))
	}
	group := func(fields ...schema.Node) schema.Node {
		return schema.MustGroup(schema.NewGroupNode("g", opt, fields, -1))
	}
	ts := schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	tests := []struct {
		a, b *schema.Schema
		want string
	}{
		{of(leaf("ts", opt, ts, ty.Int64, 0, -1)), of(leaf("ts", opt, nil, ty.Int64, 0, -1)),
			`column "ts": TIMESTAMP(micros, UTC) in a.parquet but INT64 in b.parquet`},
		{of(leaf("n", opt, nil, ty.Int64, 0, -1)), of(leaf("n", req, nil, ty.Int64, 0, -1)),
			`column "n": optional in a.parquet but required in b.parquet`},
		{of(leaf("n", opt, nil, ty.Int64, 0, 3)), of(leaf("n", opt, nil, ty.Int64, 0, -1)),
			`column "n": field id 3 in a.parquet but no field id in b.parquet`},
		{of(leaf("n", opt, nil, ty.Int64, 0, -1)), of(leaf("m", opt, nil, ty.Int64, 0, -1)),
			`column "n": INT64 in a.parquet but nothing in b.parquet`},
		{of(leaf("d", opt, schema.NewDecimalLogicalType(9, 2), ty.Int64, 0, -1)), of(leaf("d", opt, schema.NewDecimalLogicalType(9, 2), ty.FixedLenByteArray, 4, -1)),
			`column "d": INT64 in a.parquet but FIXED_LEN_BYTE_ARRAY(4) in b.parquet`},
		{of(group(leaf("x", opt, nil, ty.Int32, 0, -1))), of(group(leaf("x", opt, nil, ty.Int32, 0, -1), leaf("y", opt, nil, ty.Float, 0, -1))),
			`column "g.y": nothing in a.parquet but FLOAT in b.parquet`},
		{of(leaf("p", opt, nil, ty.Int32, 0, -1), leaf("q", opt, nil, ty.Int32, 0, -1)), of(leaf("q", opt, nil, ty.Int32, 0, -1), leaf("p", opt, nil, ty.Int32, 0, -1)),
			`column "p": at place 1 in a.parquet but at place 2 in b.parquet`},
	}
	for _, tt := range tests {
		var m *Mismatch
		if err := Compatible(tt.a, tt.b); !errors.As(err, &m) {
			t.Errorf("want %s, got %v", tt.want, err)
		} else if got := m.Between("a.parquet", "b.parquet"); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if err := Compatible(tt.a, tt.a); err != nil {
			t.Errorf("a schema differs from itself: %v", err)
		}
	}
	if err := Compatible(everyType(t), everyType(t)); err != nil {
		t.Error(err)
	}
}

func TestOutputKeyValue(t *testing.T) {
	kv := metadata.NewKeyValueMetadata()
	for _, k := range []string{"mine", keyArrowSchema, keySparkRow, keyPandas} {
		if err := kv.Append(k, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if got := OutputKeyValue(kv, false).Keys(); len(got) != 4 {
		t.Errorf("all columns kept: %v", got)
	}
	if got := OutputKeyValue(kv, true).Keys(); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("columns dropped: %v", got)
	}
}
