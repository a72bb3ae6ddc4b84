package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// TestParquetSchemasOfOtherWritersSurvive takes types, annotations and list shapes that DuckDB does not
// write: those of old and other writers, with field ids. (BSON is missing, DuckDB does not read it.)
func TestParquetSchemasOfOtherWritersSurvive(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in", "a.parquet")
	writeOldShapes(t, in, 2000)
	for _, flags := range [][]string{
		{"--by", "id", "-n", "4"},
		{"-n", "2", "--compression", "zstd", "--row-group-size", "64KiB", "--verify", "content"},
	} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			j := newJob(t)
			j.mustRepartition(t, filepath.Dir(in), flags...)
			exactlySameRows(t, in, j.out)
			mustSluice(t, "verify", in, j.out)
		})
	}
	for _, column := range []string{"int96", "decimal_int32", "decimal_bytes", "millis_utc", "uint8", "enum"} {
		t.Run("directories of "+column, func(t *testing.T) {
			j := newJob(t)
			j.mustRepartition(t, filepath.Dir(in), "--partition-by", column)
			exactlySameRows(t, in, j.out, column)
			mustSluice(t, "verify", in, j.out)
		})
	}
}

// The repetitions, short.
var (
	required = parquet.Repetitions.Required
	optional = parquet.Repetitions.Optional
	repeated = parquet.Repetitions.Repeated
)

// shape makes schema nodes and gives each the next field id.
type shape struct {
	t  *testing.T
	id int32
}

func (s *shape) leaf(name string, rep parquet.Repetition, logical schema.LogicalType, typ parquet.Type, length int) schema.Node {
	s.t.Helper()
	s.id++
	node, err := schema.NewPrimitiveNodeLogical(name, rep, logical, typ, length, s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return node
}

// old makes a leaf that has only a converted type.
func (s *shape) old(name string, converted schema.ConvertedType, typ parquet.Type) schema.Node {
	s.t.Helper()
	s.id++
	node, err := schema.NewPrimitiveNodeConverted(name, optional, typ, converted, 0, 0, 0, s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return node
}

func (s *shape) group(name string, rep parquet.Repetition, converted schema.ConvertedType, fields ...schema.Node) schema.Node {
	s.t.Helper()
	s.id++
	node, err := schema.NewGroupNodeConverted(name, rep, fields, converted, s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return node
}

func oldShapes(t *testing.T) *schema.GroupNode {
	t.Helper()
	s := &shape{t: t, id: 100}
	types, units := parquet.Types, []schema.TimeUnitType{schema.TimeUnitMillis, schema.TimeUnitMicros, schema.TimeUnitNanos}
	fields := schema.FieldList{
		s.leaf("id", required, nil, types.Int32, 0),
		s.leaf("int96", optional, nil, types.Int96, 0),
		s.leaf("decimal_int32", optional, schema.NewDecimalLogicalType(9, 2), types.Int32, 0),
		s.leaf("decimal_int64", optional, schema.NewDecimalLogicalType(18, 4), types.Int64, 0),
		s.leaf("decimal_fixed", optional, schema.NewDecimalLogicalType(38, 10), types.FixedLenByteArray, 16),
		s.leaf("decimal_short", optional, schema.NewDecimalLogicalType(10, 0), types.FixedLenByteArray, 5),
		s.leaf("decimal_bytes", optional, schema.NewDecimalLogicalType(20, 3), types.ByteArray, 0),
		s.leaf("uuid", optional, schema.UUIDLogicalType{}, types.FixedLenByteArray, 16),
		s.leaf("half", optional, schema.Float16LogicalType{}, types.FixedLenByteArray, 2),
		s.leaf("enum", optional, schema.EnumLogicalType{}, types.ByteArray, 0),
		s.leaf("json", optional, schema.JSONLogicalType{}, types.ByteArray, 0),
		s.leaf("plain_bytes", optional, nil, types.ByteArray, 0),
		s.leaf("fixed", required, nil, types.FixedLenByteArray, 3),
		s.leaf("interval", optional, schema.IntervalLogicalType{}, types.FixedLenByteArray, 12),
		s.old("old_text", schema.ConvertedTypes.UTF8, types.ByteArray),
		s.old("old_micros", schema.ConvertedTypes.TimestampMicros, types.Int64),
		s.old("old_date", schema.ConvertedTypes.Date, types.Int32),
	}
	for _, bits := range []int8{8, 16, 32, 64} {
		typ := types.Int32
		if bits == 64 {
			typ = types.Int64
		}
		fields = append(fields,
			s.leaf(fmt.Sprintf("int%d", bits), optional, schema.NewIntLogicalType(bits, true), typ, 0),
			s.leaf(fmt.Sprintf("uint%d", bits), optional, schema.NewIntLogicalType(bits, false), typ, 0))
	}
	for i, unit := range units {
		typ := types.Int64
		if i == 0 {
			typ = types.Int32
		}
		name := []string{"millis", "micros", "nanos"}[i]
		fields = append(fields,
			s.leaf("time_"+name, optional, schema.NewTimeLogicalType(false, unit), typ, 0),
			s.leaf(name+"_utc", optional, schema.NewTimestampLogicalType(true, unit), types.Int64, 0),
			s.leaf(name+"_local", optional, schema.NewTimestampLogicalType(false, unit), types.Int64, 0))
	}
	none := schema.ConvertedTypes.None
	fields = append(fields,
		s.leaf("bare_repeated", repeated, nil, types.Int32, 0),
		s.group("two_level", optional, schema.ConvertedTypes.List, s.leaf("array", repeated, nil, types.Int64, 0)),
		s.group("avro_list", optional, schema.ConvertedTypes.List,
			s.group("array", repeated, none, s.leaf("a", optional, nil, types.Double, 0), s.leaf("b", required, schema.StringLogicalType{}, types.ByteArray, 0))),
		s.group("bag_list", optional, schema.ConvertedTypes.List,
			s.group("bag", repeated, none, s.leaf("array_element", optional, schema.StringLogicalType{}, types.ByteArray, 0))),
		s.group("old_map", optional, schema.ConvertedTypes.Map,
			s.group("map", repeated, schema.ConvertedTypes.MapKeyValue, s.leaf("key", required, schema.StringLogicalType{}, types.ByteArray, 0), s.leaf("value", optional, nil, types.Float, 0))),
		s.group("record", required, none,
			s.group("inner", optional, none, s.leaf("x", required, nil, types.Boolean, 0), s.leaf("y", optional, nil, types.Int32, 0))),
	)
	root, err := schema.NewGroupNode("old_shapes", required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// writeOldShapes writes a file of two row groups with rows rows each, dictionary-coded where arrow-go
// does that.
func writeOldShapes(t *testing.T, path string, rows int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := file.NewParquetWriter(f, oldShapes(t), file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithCompression(1), parquet.WithDataPageSize(16<<10), parquet.WithCreatedBy("an older writer"))))
	for group := range 2 {
		rg, err := w.AppendRowGroupChecked()
		if err != nil {
			t.Fatal(err)
		}
		for range rg.NumColumns() {
			column, err := rg.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			if err := writeLeaf(column, group*rows, rows); err != nil {
				t.Fatalf("column %s: %v", column.Descr().Path(), err)
			}
			if err := column.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rg.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// levels makes definition and repetition levels for a leaf: row i has i mod 4 entries where the leaf is
// repeated, and every reachable definition level. All leaves of a group make the same choice, so that
// together they are a record.
func levels(leaf *schema.Column, from, rows int) (def, rep []int16, values int) {
	most := leaf.MaxDefinitionLevel()
	for i := from; i < from+rows; i++ {
		if leaf.MaxRepetitionLevel() == 0 {
			d := most
			if most > 0 && i%6 == 0 {
				d = int16(i / 6 % int(most))
			}
			def = append(def, d)
			rep = append(rep, 0)
		} else if entries := i % 4; entries == 0 {
			// Null or empty: what lies above the repeated node.
			def = append(def, min(int16(i/4%2), repeatedLevel(leaf)-1))
			rep = append(rep, 0)
		} else {
			for k := range entries {
				d := most
				if (i+k)%5 == 0 {
					d = max(repeatedLevel(leaf), most-1)
				}
				def = append(def, d)
				rep = append(rep, min(int16(k), 1))
			}
		}
	}
	for _, d := range def {
		if d == most {
			values++
		}
	}
	return def, rep, values
}

// repeatedLevel is the definition level of an entry of the leaf's repeated ancestor.
func repeatedLevel(leaf *schema.Column) int16 {
	level := leaf.MaxDefinitionLevel()
	for node := leaf.SchemaNode(); node.RepetitionType() != repeated; node = node.Parent() {
		if node.RepetitionType() == optional {
			level--
		}
	}
	return level
}

func writeLeaf(w file.ColumnChunkWriter, from, rows int) error {
	leaf := w.Descr()
	def, rep, n := levels(leaf, from, rows)
	var err error
	switch w := w.(type) {
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) bool { return i%3 == 0 }), def, rep)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) int32 { return int32(intValue(leaf, from, i)) }), def, rep)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) int64 { return intValue(leaf, from, i) }), def, rep)
	case *file.Int96ColumnChunkWriter:
		_, err = w.WriteBatch(each(n, int96Value), def, rep)
	case *file.Float32ColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) float32 { return []float32{0, float32(math.Copysign(0, -1)), 1.5, -3}[i%4] }), def, rep)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) float64 { return []float64{math.NaN(), math.Copysign(0, -1), 0, 1e300, -2.5}[i%5] }), def, rep)
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) parquet.ByteArray { return bytesValue(leaf.Name(), i) }), def, rep)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(each(n, func(i int) parquet.FixedLenByteArray { return fixedValue(leaf.TypeLength(), i) }), def, rep)
	default:
		return fmt.Errorf("no values for %T", w)
	}
	return err
}

func each[T any](n int, value func(i int) T) []T {
	values := make([]T, n)
	for i := range values {
		values[i] = value(i)
	}
	return values
}

// intValue stays within what the leaf's annotation allows.
func intValue(leaf *schema.Column, from, i int) int64 {
	switch name := leaf.Name(); name {
	case "id":
		return int64(from + i)
	case "int8", "uint8":
		return int64(i % 100)
	case "int16", "uint16":
		return int64(i%2*30000 + i%7)
	case "int64", "uint64":
		return int64(i) << 40
	case "decimal_int32":
		return int64(i%40-20) * 25
	case "millis_utc", "millis_local":
		return 1_700_000_000_000 + int64(i%50)*250
	case "micros_utc", "micros_local", "old_micros":
		return 1_700_000_000_000_000 + int64(i%50)*250_000
	case "nanos_utc", "nanos_local":
		return 1_700_000_000_000_000_000 + int64(i)*1001
	default: // times of day, dates and numbers
		return int64(i)
	}
}

// int96Value is a timestamp: nanoseconds of the day, then the Julian day.
func int96Value(i int) parquet.Int96 {
	var v parquet.Int96
	binary.LittleEndian.PutUint64(v[:8], uint64(i%20)*500_000_000)
	binary.LittleEndian.PutUint32(v[8:], 2_460_000+uint32(i%3))
	return v
}

func bytesValue(name string, i int) parquet.ByteArray {
	switch name {
	case "decimal_bytes": // big endian, two's complement, of any length
		return [][]byte{{0x00}, {0xff}, {0x7f, 0xff}, {0x80, 0x00}, {0x00, 0x80}, {0x01, 0x02, 0x03, 0x04, 0x05}}[i%6]
	case "json":
		return parquet.ByteArray(fmt.Sprintf(`{"i": %d}`, i))
	case "enum":
		return parquet.ByteArray([]string{"RED", "GREEN", "BLUE"}[i%3])
	case "key":
		return parquet.ByteArray(fmt.Sprintf("key %d", i))
	case "plain_bytes":
		return parquet.ByteArray{byte(i), 0, 0xff}
	default:
		return parquet.ByteArray(fmt.Sprintf("text %d", i%1000))
	}
}

// fixedValue is small in magnitude: any bytes are right for most types, but not every interval or decimal.
func fixedValue(length, i int) parquet.FixedLenByteArray {
	v := make(parquet.FixedLenByteArray, length)
	v[0] = byte(i % 5)
	v[length-1] = byte(i % 60)
	return v
}
