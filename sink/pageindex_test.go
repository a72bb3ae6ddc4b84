package sink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/shuffle/block"
)

// indexedSchema has leaves of every order, each required, optional and in a list.
func indexedSchema() *schema.Schema {
	none := schema.NoLogicalType{}
	types := []struct {
		name    string
		logical schema.LogicalType
		typ     parquet.Type
		length  int
	}{
		{"bool", none, parquet.Types.Boolean, 0},
		{"int32", none, parquet.Types.Int32, 0},
		{"uint32", schema.NewIntLogicalType(32, false), parquet.Types.Int32, 0},
		{"int64", none, parquet.Types.Int64, 0},
		{"uint64", schema.NewIntLogicalType(64, false), parquet.Types.Int64, 0},
		{"int96", none, parquet.Types.Int96, 0},
		{"float", none, parquet.Types.Float, 0},
		{"double", none, parquet.Types.Double, 0},
		{"float16", schema.Float16LogicalType{}, parquet.Types.FixedLenByteArray, 2},
		{"string", schema.StringLogicalType{}, parquet.Types.ByteArray, 0},
		{"binary", none, parquet.Types.ByteArray, 0},
		{"uuid", schema.UUIDLogicalType{}, parquet.Types.FixedLenByteArray, 16},
		{"decfixed", schema.NewDecimalLogicalType(20, 2), parquet.Types.FixedLenByteArray, 9},
		{"decbytes", schema.NewDecimalLogicalType(30, 2), parquet.Types.ByteArray, 0},
		{"interval", schema.IntervalLogicalType{}, parquet.Types.FixedLenByteArray, 12},
	}
	fields := func(rep parquet.Repetition) schema.FieldList {
		var f schema.FieldList
		for _, t := range types {
			f = append(f, schema.Must(schema.NewPrimitiveNodeLogical(t.name, rep, t.logical, t.typ, t.length, -1)))
		}
		return f
	}
	group := func(name string, rep parquet.Repetition, f schema.FieldList) schema.Node {
		return schema.Must(schema.NewGroupNode(name, rep, f, -1))
	}
	req, opt := parquet.Repetitions.Required, parquet.Repetitions.Optional
	root := schema.MustGroup(schema.NewGroupNode("schema", req, schema.FieldList{
		group("required", req, fields(req)),
		group("optional", req, fields(opt)),
		group("list", parquet.Repetitions.Repeated, fields(opt)),
	}, -1))
	return schema.NewSchema(root)
}

// randomVector makes rows in which nulls come in stretches, so that some pages hold nothing else.
// slope is 1 if the values grow from row to row, -1 if they shrink, 0 if they do neither.
func randomVector(rng *rand.Rand, leaf *schema.Column, rows, slope int) *column.Vector {
	v := column.New(leaf)
	maxDef, repeated := leaf.MaxDefinitionLevel(), leaf.MaxRepetitionLevel() > 0
	null := false
	for i := range rows {
		if rng.IntN(40) == 0 {
			null = !null
		}
		n := 1
		if repeated {
			n = rng.IntN(3)
			v.Rep = append(v.Rep, 0)
			for range n - 1 {
				v.Rep = append(v.Rep, 1)
			}
			if n == 0 {
				v.Def = append(v.Def, 0)
			}
		}
		for range n {
			if maxDef > 0 && (null || rng.IntN(8) == 0) {
				v.Def = append(v.Def, maxDef-1)
				continue
			}
			if maxDef > 0 {
				v.Def = append(v.Def, maxDef)
			}
			v.Values.AppendBytes(randomValue(rng, leaf, i, slope))
		}
		v.Rows++
	}
	v.Index()
	return v
}

// randomValue draws a value of row i.
func randomValue(rng *rand.Rand, leaf *schema.Column, i, slope int) []byte {
	n := uint64(rng.Uint32())
	if slope != 0 {
		n = uint64(1<<30 + slope*i*1000 + rng.IntN(1000))
	}
	number := binary.LittleEndian.AppendUint64(nil, n)
	if slope == 0 && rng.IntN(2) == 0 {
		number[rng.IntN(8)] |= 0x80
	}
	switch leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return []byte{byte(n >> 3 & 1)}
	case parquet.Types.Int32:
		return number[:4]
	case parquet.Types.Int64:
		return number
	case parquet.Types.Float, parquet.Types.Double:
		f := float64(n)
		if slope == 0 {
			f = []float64{f, -f, 0, math.Copysign(0, -1), math.Inf(-1), math.NaN()}[min(5, rng.IntN(30)/5)]
		}
		if leaf.PhysicalType() == parquet.Types.Float {
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f)))
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))
	case parquet.Types.ByteArray:
		text := fmt.Appendf(nil, "%010d", n)
		if slope == 0 {
			text = append(number[:1+rng.IntN(8)], text...)
			if rng.IntN(500) == 0 {
				text = append(text, make([]byte, block.MaxStatBytes)...)
			}
		}
		return text
	}
	big := make([]byte, column.Width(leaf))
	for k := range min(len(big), len(number)) {
		big[len(big)-1-k] = number[k]
	}
	if slope == 0 {
		big[0] ^= byte(rng.Uint32())
	}
	return big
}

// smaller compares two values of a leaf the obvious way: it reports whether a < b.
func smaller(leaf *schema.Column, a, b []byte) bool {
	unsigned := leaf.SortOrder() == schema.SortUNSIGNED
	switch leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return a[0] < b[0]
	case parquet.Types.Int32:
		x, y := binary.LittleEndian.Uint32(a), binary.LittleEndian.Uint32(b)
		return unsigned && x < y || !unsigned && int32(x) < int32(y)
	case parquet.Types.Int64:
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		return unsigned && x < y || !unsigned && int64(x) < int64(y)
	case parquet.Types.Float, parquet.Types.Double:
		return floating(a) < floating(b)
	}
	if isFloat16(leaf) {
		return floating(a) < floating(b)
	}
	if unsigned {
		return bytes.Compare(a, b) < 0
	}
	return twosComplement(a).Cmp(twosComplement(b)) < 0
}

func isFloat16(leaf *schema.Column) bool {
	return leaf.LogicalType().Equals(schema.Float16LogicalType{})
}

// floating reads a number by its width.
func floating(b []byte) float64 {
	switch len(b) {
	case 2:
		return float64(float16.FromLEBytes(b).Float32())
	case 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func twosComplement(b []byte) *big.Int {
	x := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return x
}

// TestPageIndexAgreesWithThePages writes random chunks as row groups, has arrow-go read the page
// index, and compares it with what the pages hold.
func TestPageIndexAgreesWithThePages(t *testing.T) {
	orders := map[metadata.BoundaryOrder]int{}
	var absent, nullPages int
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 5))
		c := testConfig(t)
		c.Schema = indexedSchema()
		o := block.Options{Codec: []block.Codec{block.None, block.Snappy}[seed%2], PageBytes: 300 << rng.IntN(4)}
		if seed%3 == 0 {
			o.DictionaryBytes = -1
		}
		path, groups := writeGroups(t, c, o, rng, 3)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rd, err := file.NewParquetReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for g, chunks := range groups {
			indexes, err := rd.GetPageIndexReader().RowGroup(g)
			if err != nil {
				t.Fatal(err)
			}
			for i := range chunks {
				leaf := c.Schema.Column(i)
				offsets, err := indexes.GetOffsetIndex(i)
				if err != nil || offsets == nil {
					t.Fatalf("%s: no offset index, %v", leaf.Path(), err)
				}
				pages := pagesAt(t, leaf, &chunks[i], data, offsets.GetPageLocations())
				index, err := indexes.GetColumnIndex(i)
				if err != nil {
					t.Fatal(err)
				}
				if index == nil {
					absent++
					if bounded(leaf, pages) {
						t.Errorf("seed %d, row group %d, %s: no column index", seed, g, leaf.Path())
					}
					continue
				}
				nullPages += checkColumnIndex(t, leaf, index, pages)
				orders[index.GetBoundaryOrder()]++
			}
		}
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if absent == 0 || nullPages == 0 || len(orders) != 3 {
		t.Errorf("%d chunks without column index, %d pages of nulls, boundary orders %v: a case is missing", absent, nullPages, orders)
	}
}

// writeGroups writes a file of random row groups, whose values grow, shrink, and do neither. The
// chunks written were decoded from a piece that is overwritten before the file ends; those returned
// are the encoders' own.
func writeGroups(t *testing.T, c Config, o block.Options, rng *rand.Rand, groups int) (path string, all [][]block.Chunk) {
	t.Helper()
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.create()
	if err != nil {
		t.Fatal(err)
	}
	var leaves []*schema.Column
	for i := range c.Schema.NumColumns() {
		leaves = append(leaves, c.Schema.Column(i))
	}
	for g := range groups {
		p := &block.Piece{Rows: int64(200 + rng.IntN(400))}
		for _, leaf := range leaves {
			e := block.NewChunkEncoder(leaf, o)
			if err := e.Append(randomVector(rng, leaf, int(p.Rows), 1-g%3), 0, int(p.Rows)); err != nil {
				t.Fatal(err)
			}
			chunk, err := e.Finish()
			if err != nil {
				t.Fatal(err)
			}
			p.Chunks = append(p.Chunks, chunk)
		}
		all = append(all, p.Chunks)
		frame, err := block.AppendPiece(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = block.DecodePiece(leaves, frame); err != nil {
			t.Fatal(err)
		}
		if err := out.writeGroup(p.Chunks, p.Rows); err != nil {
			t.Fatal(err)
		}
		for i := range frame {
			frame[i] = 0xee
		}
	}
	if _, err := out.finish(w, "final"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.path, all
}

// pagesAt decodes the data pages of a chunk one by one, after it has made sure that an OffsetIndex
// names exactly them.
func pagesAt(t *testing.T, leaf *schema.Column, c *block.Chunk, data []byte, places []*metadata.PageLocation) (pages []*column.Vector) {
	t.Helper()
	written := c.DataPages()
	if len(places) != len(written) {
		t.Fatalf("%s: %d pages in the index, %d in the chunk", leaf.Path(), len(places), len(written))
	}
	row := int64(0)
	for i, at := range places {
		p := &written[i]
		if at.FirstRowIndex != row || !bytes.Equal(data[at.Offset:at.Offset+int64(at.CompressedPageSize)], p.Bytes) {
			t.Fatalf("%s: page %d is not where the index has it: %+v, row %d", leaf.Path(), i, at, row)
		}
		row += int64(p.Rows)
		alone := block.Chunk{Codec: c.Codec, Rows: int64(p.Rows), Levels: int64(p.Levels), Nulls: int64(p.Nulls)}
		if c.HasDictionary() {
			alone.Pages = append(alone.Pages, c.Pages[0])
		}
		alone.Pages = append(alone.Pages, *p)
		v := column.New(leaf)
		if err := block.DecodeChunk(leaf, &alone, v); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, v)
	}
	if row != c.Rows {
		t.Fatalf("%s: pages of %d rows in a chunk of %d", leaf.Path(), row, c.Rows)
	}
	return pages
}

// ordered reports whether a value takes part in minimum and maximum: NaN does not.
func ordered(leaf *schema.Column, x []byte) bool {
	switch leaf.PhysicalType() {
	case parquet.Types.Float, parquet.Types.Double:
		return !math.IsNaN(floating(x))
	}
	return !isFloat16(leaf) || !math.IsNaN(floating(x))
}

// bounded reports whether a chunk must have a column index: every page has a value with an order and
// none that is too long, or only nulls.
func bounded(leaf *schema.Column, pages []*column.Vector) bool {
	for _, v := range pages {
		found := v.Values.Len() == 0
		for i := range v.Values.Len() {
			x := v.Values.At(i)
			if len(x) > block.MaxStatBytes {
				return false
			}
			found = found || leaf.SortOrder() != schema.SortUNKNOWN && ordered(leaf, x)
		}
		if !found {
			return false
		}
	}
	return true
}

// checkColumnIndex compares a ColumnIndex with the values of the pages and returns how many of them
// hold only nulls.
func checkColumnIndex(t *testing.T, leaf *schema.Column, index metadata.ColumnIndex, pages []*column.Vector) (nullPages int) {
	t.Helper()
	var mins, maxs [][]byte // of pages with values
	for i, v := range pages {
		lo, hi := index.GetMinValues()[i], index.GetMaxValues()[i]
		if index.GetNullCounts()[i] != int64(v.NumLevels()-v.Values.Len()) || index.GetNullPages()[i] != (v.Values.Len() == 0) {
			t.Errorf("%s: page %d has %d nulls, only nulls: %t; it holds %d levels and %d values",
				leaf.Path(), i, index.GetNullCounts()[i], index.GetNullPages()[i], v.NumLevels(), v.Values.Len())
		}
		if v.Values.Len() == 0 {
			nullPages++
			continue
		}
		mins, maxs = append(mins, lo), append(maxs, hi)
		loSeen, hiSeen := false, false
		for k := range v.Values.Len() {
			x := v.Values.At(k)
			if !ordered(leaf, x) {
				continue
			}
			if smaller(leaf, x, lo) || smaller(leaf, hi, x) {
				t.Fatalf("%s: page %d from %x to %x holds %x", leaf.Path(), i, lo, hi, x)
			}
			loSeen, hiSeen = loSeen || !smaller(leaf, lo, x), hiSeen || !smaller(leaf, x, hi)
		}
		if !loSeen || !hiSeen {
			t.Errorf("%s: page %d does not hold its minimum %x or maximum %x", leaf.Path(), i, lo, hi)
		}
	}
	if want := orderOf(leaf, mins, maxs); index.GetBoundaryOrder() != want {
		t.Errorf("%s: boundary order %s, want %s", leaf.Path(), index.GetBoundaryOrder(), want)
	}
	return nullPages
}

// orderOf is the boundary order of pages with these bounds.
func orderOf(leaf *schema.Column, mins, maxs [][]byte) metadata.BoundaryOrder {
	ascending, descending := len(mins) > 0, len(mins) > 0
	for _, bounds := range [][][]byte{mins, maxs} {
		for i := 1; i < len(bounds); i++ {
			ascending = ascending && !smaller(leaf, bounds[i], bounds[i-1])
			descending = descending && !smaller(leaf, bounds[i-1], bounds[i])
		}
	}
	switch {
	case ascending:
		return metadata.Ascending
	case descending:
		return metadata.Descending
	}
	return metadata.Unordered
}
