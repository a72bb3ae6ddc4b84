package spark

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/parquettest"
)

// vectors is testdata/vectors.json, made by testdata/vectors.py.
type vectors struct {
	Columns map[string]struct {
		File     string    `json:"file"`
		Hash     []int32   `json:"hash"`
		XXHash64 []int64   `json:"xxhash64"`
		Text     []*string `json:"text"`
	} `json:"columns"`
	Sums map[string]struct {
		XXHash64 uint64  `json:"xxhash64"`
		Text     *uint64 `json:"text"`
	} `json:"sums"`
	Floats  [][2]string `json:"floats"`
	Doubles [][2]string `json:"doubles"`
}

func readVectors(t *testing.T) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// table is a file in memory.
type table struct {
	sc   *schema.Schema
	vecs []*column.Vector
}

func open(t *testing.T, path string) table {
	t.Helper()
	sc, vecs := parquettest.Read(t, path)
	return table{sc, vecs}
}

func (tb table) column(t *testing.T, name string) (*Column, []*column.Vector) {
	t.Helper()
	c, err := NewColumn(tb.sc, tb.sc.Root().FieldIndexByName(name))
	if err != nil {
		t.Fatal(err)
	}
	var vecs []*column.Vector
	for _, leaf := range c.Leaves() {
		vecs = append(vecs, tb.vecs[leaf])
	}
	return c, vecs
}

// murmur chains Spark's hash over columns.
func (tb table) murmur(t *testing.T, names ...string) []int32 {
	t.Helper()
	h := make([]int32, tb.vecs[0].Rows)
	for i := range h {
		h[i] = Seed
	}
	for _, name := range names {
		c, vecs := tb.column(t, name)
		if err := c.Murmur3(vecs, h); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (tb table) xxhash(t *testing.T, name string) []uint64 {
	t.Helper()
	h := make([]uint64, tb.vecs[0].Rows)
	for i := range h {
		h[i] = Seed
	}
	c, vecs := tb.column(t, name)
	if err := c.XXHash64(vecs, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func int32s(v *column.Vector) []int32 {
	out := make([]int32, v.Rows)
	for i := range out {
		if b, ok := v.Value(i); ok {
			out[i] = int32(binary.LittleEndian.Uint32(b))
		}
	}
	return out
}

func TestMurmur3EqualsSpark(t *testing.T) {
	tb := open(t, "testdata/hash_vectors.parquet")
	checked := 0
	for i := range tb.sc.NumColumns() {
		name, _ := strings.CutPrefix(tb.sc.Column(i).Path(), "h_")
		var columns []string
		switch {
		case name == tb.sc.Column(i).Path():
			continue
		case name == "i32_s":
			columns = []string{"i32", "s"}
		case name == "s_i32":
			columns = []string{"s", "i32"}
		case name == "all":
			columns = []string{"b", "i8", "i16", "i32", "i64", "f32", "f64", "d9_2", "d18_4", "d20_2", "d38_10", "s", "bin", "date", "ts", "li", "ls", "st", "ts_ntz"}
		default:
			columns = []string{name}
		}
		checked++
		want, got := int32s(tb.vecs[i]), tb.murmur(t, columns...)
		for row := range want {
			if got[row] != want[row] {
				t.Errorf("hash(%s) in row %d: got %d, Spark says %d", strings.Join(columns, ", "), row, got[row], want[row])
				break
			}
		}
	}
	if checked != 22 {
		t.Errorf("checked %d columns, the file has 22", checked)
	}
}

func TestXXHash64AndTextEqualSparkInSum(t *testing.T) {
	want := readVectors(t).Sums
	tb := open(t, "testdata/hash_vectors.parquet")
	for name, sums := range want {
		got := uint64(0)
		for _, h := range tb.xxhash(t, name) {
			got += h
		}
		if got != sums.XXHash64 {
			t.Errorf("xxhash64(%s): the sum is %d, Spark says %d", name, got, sums.XXHash64)
		}
		c, vecs := tb.column(t, name)
		if sums.Text == nil || name == "f32" || name == "f64" { // floats: TestFloatsPrintAsJava
			continue
		}
		got = 0
		for row := range vecs[0].Rows {
			b, ok := vecs[0].Value(row)
			if !ok {
				got += Seed
				continue
			}
			text, err := c.AppendString(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			got += XXHashBytes(text, Seed)
		}
		if got != *sums.Text {
			t.Errorf("cast(%s as string): the sum of hashes is %d, Spark says %d", name, got, *sums.Text)
		}
	}
}

// Spark ran on JDK 17, which prints some numbers with a digit more than is needed. Newer JDKs do not.
func TestFloatsPrintAsJava(t *testing.T) {
	v := readVectors(t)
	longer := 0
	check := func(want string, f float64, size int) {
		got := string(appendJavaFloat(nil, f, size))
		if got == want {
			return
		}
		back, err := strconv.ParseFloat(got, size)
		if err != nil || back != f || len(got) >= len(want) {
			t.Errorf("got %s, Spark says %s", got, want)
		}
		longer++
	}
	for _, f := range v.Floats {
		b, err := hex.DecodeString(f[0])
		if err != nil {
			t.Fatal(err)
		}
		check(f[1], float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32)
	}
	for _, f := range v.Doubles {
		b, err := hex.DecodeString(f[0])
		if err != nil {
			t.Fatal(err)
		}
		check(f[1], math.Float64frombits(binary.BigEndian.Uint64(b)), 64)
	}
	if total := len(v.Floats) + len(v.Doubles); longer*10 > total || total < 1000 {
		t.Errorf("%d of %d numbers are printed shorter than by JDK 17", longer, total)
	}
}

func TestEveryTypeEqualsSpark(t *testing.T) {
	tables := map[string]table{
		"types.parquet": open(t, "testdata/types.parquet"),
		"int96.parquet": open(t, "testdata/int96.parquet"),
	}
	want := readVectors(t).Columns
	if len(want) < 20 {
		t.Fatalf("only %d columns", len(want))
	}
	for name, w := range want {
		tb := tables[w.File]
		if got := tb.murmur(t, name); !slices.Equal(got, w.Hash) {
			t.Errorf("hash(%s):\n got %d\nwant %d", name, got, w.Hash)
		}
		got := tb.xxhash(t, name)
		for row := range got {
			if int64(got[row]) != w.XXHash64[row] {
				t.Errorf("xxhash64(%s) row %d: got %d, want %d", name, row, int64(got[row]), w.XXHash64[row])
			}
		}
		c, vecs := tb.column(t, name)
		if c.Flat() != (w.Text != nil) {
			t.Errorf("%s: flat is %v", name, c.Flat())
		}
		for row, text := range w.Text {
			checkText(t, c, vecs[0], row, text)
		}
	}
}

// checkText compares the text, and reads it back.
func checkText(t *testing.T, c *Column, v *column.Vector, row int, want *string) {
	t.Helper()
	b, ok := v.Value(row)
	if !ok || want == nil {
		if ok != (want != nil) {
			t.Errorf("%s row %d: a null where Spark has none", c.Name(), row)
		}
		return
	}
	text, err := c.AppendString(nil, b)
	if err != nil || string(text) != latin1(*want) {
		t.Errorf("%s row %d: got %q (%v), Spark says %q", c.Name(), row, text, err, *want)
	}
	l := c.leaves[0]
	back, err := l.ParseString(nil, string(text))
	if err != nil {
		t.Errorf("%s: %v", c.Name(), err)
		return
	}
	if l.kind != kindInt96 && !slices.Equal(back, b) {
		t.Errorf("%s: %q was read back as %x, it is %x", c.Name(), text, back, b)
	}
}

func latin1(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// The vectors of the reference, so that a mistake in reading files cannot hide one in hashing.
func TestHashPrimitives(t *testing.T) {
	for v, want := range map[uint32]int32{0: 933211791, 1: -559580957, math.MaxUint32: -1604776387, 42: 29417773} {
		if got := murmurInt(v, Seed); got != want {
			t.Errorf("hash(%d) = %d, want %d", int32(v), got, want)
		}
	}
	for v, want := range map[uint64]int32{0: -1670924195, 1: -1712319331, math.MaxUint64: -939490007, 1 << 40: -1596767687} {
		if got := murmurLong(v, Seed); got != want {
			t.Errorf("hash(%dL) = %d, want %d", int64(v), got, want)
		}
	}
	for s, want := range map[string]int32{
		"": 142593372, "a": 1485273170, "abc": 1322437556, "abcd": -396302900,
		"é": 2119106806, "hello world": -1528836094, "09": 589679666,
	} {
		if got := murmurBytes([]byte(s), Seed); got != want {
			t.Errorf("hash(%q) = %d, want %d", s, got, want)
		}
	}
	if got := int64(XXHashBytes([]byte("a"), XXHashBytes([]byte("type"), Seed))); got != 5724520634959648786 {
		t.Errorf("xxhash64('type', 'a') = %d", got)
	}
}
