package column

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// leaves makes a required number, an optional text and a list of optional texts.
func leaves() []*schema.Column {
	text := func(r parquet.Repetition) schema.Node { return schema.NewByteArrayNode("element", r, -1) }
	list := schema.MustGroup(schema.ListOf(text(parquet.Repetitions.Optional), parquet.Repetitions.Optional, -1))
	root := schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{
		schema.NewInt32Node("n", parquet.Repetitions.Required, -1),
		schema.NewByteArrayNode("s", parquet.Repetitions.Optional, -1),
		list,
	}, -1))
	sc := schema.NewSchema(root)
	return []*schema.Column{sc.Column(0), sc.Column(1), sc.Column(2)}
}

func TestRequiredLeafHasARowPerValue(t *testing.T) {
	v := New(leaves()[0])
	for _, b := range []byte{7, 8, 9} {
		v.Values.AppendBytes([]byte{b, 0, 0, 0})
	}
	v.Rows = 3
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	v.Index()
	if b, ok := v.Value(2); !ok || v.Values.Uint32(1) != 8 || b[0] != 9 || v.NumLevels() != 3 {
		t.Errorf("value %v, %v", b, ok)
	}
	v.Rows = 4
	if v.Check() == nil {
		t.Error("a missing value must be found")
	}
}

func TestOptionalLeafKnowsItsNulls(t *testing.T) {
	v := New(leaves()[1])
	v.Def = []int16{1, 0, 1, 0}
	v.Rows = 4
	v.Values.AppendBytes([]byte("a"))
	v.Values.AppendBytes(nil)
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	v.Index()
	for i, want := range []struct {
		text    string
		present bool
	}{{"a", true}, {"", false}, {"", true}, {"", false}} {
		b, ok := v.Value(i)
		if ok != want.present || !bytes.Equal(b, []byte(want.text)) {
			t.Errorf("row %d: %q, %v", i, b, ok)
		}
	}
	v.Def[1] = 2
	if v.Check() == nil {
		t.Error("a definition level above the maximum must be found")
	}
}

func TestRepeatedLeafFindsItsRows(t *testing.T) {
	v := New(leaves()[2])
	// [a, null], null, [], [b]
	v.Def = []int16{3, 2, 0, 1, 3}
	v.Rep = []int16{0, 1, 0, 0, 0}
	v.Rows = 4
	v.Values.AppendBytes([]byte("a"))
	v.Values.AppendBytes([]byte("b"))
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	v.Index()
	for i, want := range [][4]int{{0, 2, 0, 1}, {2, 3, 1, 1}, {3, 4, 1, 1}, {4, 5, 1, 2}} {
		l0, l1 := v.LevelRange(i)
		v0, v1 := v.ValueRange(i)
		if got := [4]int{l0, l1, v0, v1}; got != want {
			t.Errorf("row %d: %v, want %v", i, got, want)
		}
	}
	v.Rep[0] = 1
	if v.Check() == nil {
		t.Error("a batch that begins in the middle of a row must be found")
	}
	v.Reset()
	if v.Rows != 0 || v.NumLevels() != 0 || v.Values.Len() != 0 || v.Check() != nil {
		t.Errorf("after Reset: %+v", v)
	}
}
