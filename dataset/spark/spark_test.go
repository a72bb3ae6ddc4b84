package spark

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/parquettest"
	"github.com/sluice-engine/sluice/model"
)

func schemaOf(t testing.TB, fields ...schema.Node) *schema.Schema {
	t.Helper()
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	return schema.NewSchema(root)
}

func primitive(t testing.TB, logical schema.LogicalType, physical parquet.Type, length int) schema.Node {
	t.Helper()
	n, err := schema.NewPrimitiveNodeLogical("c", parquet.Repetitions.Optional, logical, physical, length, -1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func leafOf(t testing.TB, logical schema.LogicalType, physical parquet.Type, length int) *Leaf {
	t.Helper()
	l, err := NewLeaf(schemaOf(t, primitive(t, logical, physical, length)).Column(0))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMapsAreNotHashed(t *testing.T) {
	key := schema.NewByteArrayNode("key", parquet.Repetitions.Required, -1)
	value := schema.NewInt32Node("value", parquet.Repetitions.Optional, -1)
	m, err := schema.MapOf("m", key, value, parquet.Repetitions.Optional, -1)
	if err != nil {
		t.Fatal(err)
	}
	sc := schemaOf(t, schema.NewInt32Node("a", parquet.Repetitions.Required, -1), m)
	c, err := NewColumn(sc, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Leaves(); len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Errorf("leaves %d, want 1 and 2", got)
	}
	vecs := []*column.Vector{column.New(sc.Column(1)), column.New(sc.Column(2))}
	for _, err := range []error{c.Hashable(), c.Murmur3(vecs, nil), c.XXHash64(vecs, nil)} {
		if f := model.AsFailure(err, model.ReasonInternal); err == nil || f.Reason != model.ReasonUser || !strings.Contains(f.Message, "column m") {
			t.Errorf("got %v, want a user error that names the column", err)
		}
	}
	if _, err := c.AppendString(nil, []byte("x")); err == nil {
		t.Error("a map has no text form")
	}
}

func TestIntervalHasNoText(t *testing.T) {
	l := leafOf(t, schema.IntervalLogicalType{}, parquet.Types.FixedLenByteArray, 12)
	if _, err := l.AppendString(nil, make([]byte, 12)); err == nil || l.HasText() {
		t.Errorf("got %v", err)
	}
	if _, err := l.ParseString(nil, "1 day"); err == nil {
		t.Error("an interval cannot be read")
	}
}

// Leaves of one list whose levels differ in length, each well formed by itself.
func TestDisagreeingLeavesAreAnError(t *testing.T) {
	element := schema.MustGroup(schema.NewGroupNode("element", parquet.Repetitions.Repeated, schema.FieldList{
		schema.NewInt32Node("x", parquet.Repetitions.Required, -1),
		schema.NewInt32Node("y", parquet.Repetitions.Required, -1),
	}, -1))
	sc := schemaOf(t, element)
	c, err := NewColumn(sc, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(leaf int, entries int) *column.Vector {
		v := column.New(sc.Column(leaf))
		v.Rows = 1
		for i := range entries {
			v.Def = append(v.Def, 1)
			v.Rep = append(v.Rep, min(int16(i), 1))
			v.Values.AppendBytes([]byte{byte(i), 0, 0, 0})
		}
		if err := v.Check(); err != nil {
			t.Fatal(err)
		}
		v.Index()
		return v
	}
	h := []int32{Seed}
	if err := c.Murmur3([]*column.Vector{fill(0, 2), fill(1, 2)}, h); err != nil {
		t.Error(err)
	}
	for _, n := range [][2]int{{1, 2}, {2, 1}, {3, 2}} {
		var f *model.Failure
		if err := c.Murmur3([]*column.Vector{fill(0, n[0]), fill(1, n[1])}, h); !errors.As(err, &f) || f.Reason != model.ReasonInput {
			t.Errorf("%d and %d entries: got %v", n[0], n[1], err)
		}
	}
}

func TestXXHashEqualsTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
		seed := rapid.Uint64().Draw(t, "seed")
		d := xxhash.NewWithSeed(seed)
		if _, err := d.Write(b); err != nil {
			t.Fatal(err)
		}
		if got := XXHashBytes(b, seed); got != d.Sum64() {
			t.Fatalf("%x: got %x, want %x", b, got, d.Sum64())
		}
		if len(b) == 4 && XXHashInt(binary.LittleEndian.Uint32(b), seed) != d.Sum64() ||
			len(b) == 8 && XXHashLong(binary.LittleEndian.Uint64(b), seed) != d.Sum64() {
			t.Fatalf("%x: the hash of the number differs from the hash of its bytes", b)
		}
	})
}

// textTypes are the types whose text is read back.
func textTypes(t testing.TB) []*Leaf {
	ts := func(u schema.TimeUnitType) schema.LogicalType { return schema.NewTimestampLogicalType(true, u) }
	tm := func(u schema.TimeUnitType) schema.LogicalType { return schema.NewTimeLogicalType(true, u) }
	none := schema.NoLogicalType{}
	pt := parquet.Types
	return []*Leaf{
		leafOf(t, none, pt.Boolean, 0),
		leafOf(t, none, pt.Int32, 0),
		leafOf(t, schema.NewIntLogicalType(32, false), pt.Int32, 0),
		leafOf(t, schema.NewIntLogicalType(64, false), pt.Int64, 0),
		leafOf(t, none, pt.Int64, 0),
		leafOf(t, none, pt.Float, 0),
		leafOf(t, none, pt.Double, 0),
		leafOf(t, schema.Float16LogicalType{}, pt.FixedLenByteArray, 2),
		leafOf(t, schema.NewDecimalLogicalType(9, 3), pt.Int32, 0),
		leafOf(t, schema.NewDecimalLogicalType(18, 18), pt.Int64, 0),
		leafOf(t, schema.NewDecimalLogicalType(38, 10), pt.FixedLenByteArray, 16),
		leafOf(t, schema.DateLogicalType{}, pt.Int32, 0),
		leafOf(t, ts(schema.TimeUnitMillis), pt.Int64, 0),
		leafOf(t, ts(schema.TimeUnitMicros), pt.Int64, 0),
		leafOf(t, ts(schema.TimeUnitNanos), pt.Int64, 0),
		leafOf(t, tm(schema.TimeUnitMillis), pt.Int32, 0),
		leafOf(t, tm(schema.TimeUnitMicros), pt.Int64, 0),
		leafOf(t, tm(schema.TimeUnitNanos), pt.Int64, 0),
		leafOf(t, schema.StringLogicalType{}, pt.ByteArray, 0),
		leafOf(t, schema.UUIDLogicalType{}, pt.FixedLenByteArray, 16),
		leafOf(t, none, pt.FixedLenByteArray, 7),
	}
}

func TestTextIsReadBack(t *testing.T) {
	leaves := textTypes(t)
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(leaves).Draw(t, "leaf")
		width := column.Width(l.Column())
		lo, hi := width, width
		if width == 0 {
			hi = 40
		}
		b := rapid.SliceOfN(rapid.Byte(), lo, hi).Draw(t, "value")
		if l.kind == kindBool {
			b[0] &= 1
		}
		text, err := l.AppendString(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := l.ParseString(nil, string(text))
		if err != nil {
			t.Fatalf("%s: %v", l.Column().LogicalType(), err)
		}
		if !bytes.Equal(back, b) && !strings.Contains(string(text), "NaN") {
			t.Fatalf("%s: %x is %q, read back as %x", l.Column().LogicalType(), b, text, back)
		}
		a, z := []uint64{1}, []uint64{1}
		va, vz := column.Values{Width: width}, column.Values{Width: width}
		va.AppendBytes(b)
		vz.AppendBytes(back)
		l.XXHash64(&va, 0, a)
		l.XXHash64(&vz, 0, z)
		if a[0] != z[0] {
			t.Fatalf("%q: the hash changed", text)
		}
	})
}

func TestTextThatIsNoValueIsRefused(t *testing.T) {
	bad := map[string][]string{
		"INT32":   {"", "1.0", "2147483648", " 1", "1e3", "x"},
		"BOOLEAN": {"", "1", "TRUE", "yes"},
	}
	for _, l := range textTypes(t)[:2] {
		for _, text := range bad[l.Column().PhysicalType().String()] {
			if _, err := l.ParseString(nil, text); err == nil || !strings.Contains(err.Error(), "column c") {
				t.Errorf("%s %q: got %v", l.Column().PhysicalType(), text, err)
			}
		}
	}
	instants := []string{
		"", "2021-02-29", "2021-13-01", "2021-1-1", "21-01-01", "2021-01-01 24:00:00", "2021-01-01 00:60:00",
		"2021-01-01 00:00:00.", "2021-01-01 00:00:00.0000001", "2021-01-01T00:00:00", "+294247-01-10 04:00:54.775808", "--1-01-01 00:00:00",
	}
	us := leafOf(t, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0)
	for _, text := range instants {
		if b, err := us.ParseString(nil, text); err == nil {
			t.Errorf("timestamp %q: read as %x", text, b)
		}
	}
	d := leafOf(t, schema.NewDecimalLogicalType(9, 2), parquet.Types.Int32, 0)
	for _, text := range []string{"", ".", "-", "1.234", "--1", "1e2", "99999999999", "0x1", "1_0"} {
		if b, err := d.ParseString(nil, text); err == nil {
			t.Errorf("decimal %q: read as %x", text, b)
		}
	}
	small := leafOf(t, schema.NewDecimalLogicalType(2, 0), parquet.Types.FixedLenByteArray, 1)
	for text, want := range map[string]byte{"127": 127, "-128": 0x80} {
		if b, err := small.ParseString(nil, text); err != nil || b[0] != want {
			t.Errorf("%s: got %x, %v", text, b, err)
		}
	}
	for _, text := range []string{"128", "-129", "-256", "255", "-32768"} {
		if b, err := small.ParseString(nil, text); err == nil {
			t.Errorf("decimal of one byte %q: read as %x", text, b)
		}
	}
}

func TestTextOfTypesThatSparkCannotRead(t *testing.T) {
	le := func(v uint64, n int) []byte { return binary.LittleEndian.AppendUint64(nil, v)[:n] }
	pt := parquet.Types
	for _, c := range []struct {
		l    *Leaf
		v    []byte
		want string
	}{
		{leafOf(t, schema.UUIDLogicalType{}, pt.FixedLenByteArray, 16), []byte("\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"), "01234567-89ab-cdef-0123-456789abcdef"},
		{leafOf(t, schema.Float16LogicalType{}, pt.FixedLenByteArray, 2), le(0x3e00, 2), "1.5"},
		{leafOf(t, schema.Float16LogicalType{}, pt.FixedLenByteArray, 2), le(0x8001, 2), "-5.9604645E-8"},
		{leafOf(t, schema.Float16LogicalType{}, pt.FixedLenByteArray, 2), le(0xfc00, 2), "-Infinity"},
		{leafOf(t, schema.NewTimeLogicalType(false, schema.TimeUnitMillis), pt.Int32, 0), le(45296100, 4), "12:34:56.1"},
		{leafOf(t, schema.NewTimestampLogicalType(true, schema.TimeUnitNanos), pt.Int64, 0), le(math.MaxUint64, 8), "1969-12-31 23:59:59.999999999"},
		{leafOf(t, schema.NewDecimalLogicalType(38, 2), pt.ByteArray, 0), nil, "0.00"},
	} {
		if got, err := c.l.AppendString(nil, c.v); err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.l.Column().LogicalType(), got, err, c.want)
		}
	}
}

func TestCalendarEqualsPackageTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.Int64Range(-700_000, 2_900_000).Draw(t, "days")
		want := time.Unix(days*secondsPerDay, 0).UTC().Format("2006-01-02")
		if got := string(appendDate(nil, days)); got != want {
			t.Fatalf("day %d: got %s, want %s", days, got, want)
		}
	})
}

// The kernels take runs of values; the obvious way takes one value at a time.
func TestRunsEqualSingleValues(t *testing.T) {
	sc, vecs := parquettest.Read(t, "testdata/hash_vectors.parquet")
	for field := range sc.Root().NumFields() {
		c, err := NewColumn(sc, field)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Flat() {
			continue
		}
		v := vecs[c.Leaves()[0]]
		h, h64 := make([]int32, v.Rows), make([]uint64, v.Rows)
		for i := range h {
			h[i], h64[i] = int32(i), uint64(i)
		}
		if err := errors.Join(c.Murmur3([]*column.Vector{v}, h), c.XXHash64([]*column.Vector{v}, h64)); err != nil {
			t.Fatal(err)
		}
		for row := range h {
			one, one64 := []int32{int32(row)}, []uint64{uint64(row)}
			if b, ok := v.Value(row); ok {
				vals := column.Values{Width: v.Values.Width}
				vals.AppendBytes(b)
				c.leaves[0].Murmur3(&vals, 0, one)
				c.leaves[0].XXHash64(&vals, 0, one64)
			}
			if one[0] != h[row] || one64[0] != h64[row] {
				t.Fatalf("%s row %d", c.Name(), row)
			}
		}
	}
}

func BenchmarkXXHash64(b *testing.B) {
	sc, vecs := parquettest.Read(b, "testdata/hash_vectors.parquet")
	for _, name := range []string{"i32", "i64", "f64", "d38_10", "s"} {
		leaf := sc.ColumnIndexByName(name)
		l, err := NewLeaf(sc.Column(leaf))
		if err != nil {
			b.Fatal(err)
		}
		vals := &vecs[leaf].Values
		h := make([]uint64, vals.Len())
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.XXHash64(vals, 0, h)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h)), "ns/value")
		})
	}
}
