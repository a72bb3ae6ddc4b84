package parquet

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Mismatch is the first difference between two schemas.
type Mismatch struct {
	Column string // dotted path
	A, B   string // what each schema has there, such as "TIMESTAMP(micros, UTC)" or "nothing"
}

func (m *Mismatch) Error() string { return m.Between("one file", "the other") }

// Between is the message with the names of the two files.
func (m *Mismatch) Between(a, b string) string {
	return fmt.Sprintf("column %q: %s in %s but %s in %s", m.Column, m.A, a, m.B, b)
}

// Compatible compares two schemas node for node: order, names, repetition, physical and logical
// types, field ids. The name of the root does not count. It returns nil, or a *Mismatch.
func Compatible(a, b *schema.Schema) error {
	if a == b {
		return nil
	}
	if m := compareFields(a.Root(), b.Root(), ""); m != nil {
		return m
	}
	return nil
}

func compareFields(a, b *schema.GroupNode, prefix string) *Mismatch {
	for i := range max(a.NumFields(), b.NumFields()) {
		switch {
		case i >= a.NumFields():
			return &Mismatch{Column: prefix + b.Field(i).Name(), A: "nothing", B: Describe(b.Field(i))}
		case i >= b.NumFields():
			return &Mismatch{Column: prefix + a.Field(i).Name(), A: Describe(a.Field(i)), B: "nothing"}
		}
		if m := compareNodes(a, b, i, prefix); m != nil {
			return m
		}
	}
	return nil
}

// compareNodes compares field i of two groups.
func compareNodes(ga, gb *schema.GroupNode, i int, prefix string) *Mismatch {
	a, b := ga.Field(i), gb.Field(i)
	path := prefix + a.Name()
	if a.Name() != b.Name() {
		switch {
		case gb.FieldIndexByName(a.Name()) < 0:
			return &Mismatch{Column: path, A: Describe(a), B: "nothing"}
		case ga.FieldIndexByName(b.Name()) < 0:
			return &Mismatch{Column: prefix + b.Name(), A: "nothing", B: Describe(b)}
		}
		return &Mismatch{Column: path, A: fmt.Sprintf("at place %d", i+1), B: fmt.Sprintf("at place %d", gb.FieldIndexByName(a.Name())+1)}
	}
	if ta, tb := Describe(a), Describe(b); ta != tb {
		return &Mismatch{Column: path, A: ta, B: tb}
	}
	if ta, tb := physical(a), physical(b); ta != tb {
		return &Mismatch{Column: path, A: ta, B: tb}
	}
	if ra, rb := a.RepetitionType(), b.RepetitionType(); ra != rb {
		return &Mismatch{Column: path, A: strings.ToLower(ra.String()), B: strings.ToLower(rb.String())}
	}
	if a.FieldID() != b.FieldID() {
		return &Mismatch{Column: path, A: fieldID(a), B: fieldID(b)}
	}
	inA, groupA := a.(*schema.GroupNode)
	inB, groupB := b.(*schema.GroupNode)
	if groupA && groupB { // or neither, as they have the same physical type
		return compareFields(inA, inB, path+".")
	}
	return nil
}

func fieldID(n schema.Node) string {
	if n.FieldID() < 0 {
		return "no field id"
	}
	return fmt.Sprintf("field id %d", n.FieldID())
}

// physical is a node's storage type.
func physical(n schema.Node) string {
	p, ok := n.(*schema.PrimitiveNode)
	switch {
	case !ok:
		return "group"
	case p.PhysicalType() == parquet.Types.FixedLenByteArray:
		return fmt.Sprintf("FIXED_LEN_BYTE_ARRAY(%d)", p.TypeLength())
	}
	return p.PhysicalType().String()
}

// Describe names a node's type for a person: the logical type where there is one, else the
// physical. Nodes with different logical types have different descriptions.
func Describe(n schema.Node) string {
	switch t := n.LogicalType().(type) {
	case nil, schema.NoLogicalType, schema.UnknownLogicalType:
	case schema.TimestampLogicalType:
		return fmt.Sprintf("TIMESTAMP(%s, %s)", unitName(t.TimeUnit()), zoneName(t.IsAdjustedToUTC()))
	case schema.TimeLogicalType:
		return fmt.Sprintf("TIME(%s, %s)", unitName(t.TimeUnit()), zoneName(t.IsAdjustedToUTC()))
	case schema.DecimalLogicalType:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision(), t.Scale())
	case schema.IntLogicalType:
		sign := "UINT"
		if t.IsSigned() {
			sign = "INT"
		}
		return fmt.Sprintf("%s(%d)", sign, t.BitWidth())
	default:
		return strings.ToUpper(t.String())
	}
	if c := n.ConvertedType(); c != schema.ConvertedTypes.None && c != schema.ConvertedTypes.NA {
		return fmt.Sprintf("%s %s", physical(n), c)
	}
	return physical(n)
}

func unitName(u schema.TimeUnitType) string {
	switch u {
	case schema.TimeUnitMillis:
		return "millis"
	case schema.TimeUnitMicros:
		return "micros"
	case schema.TimeUnitNanos:
		return "nanos"
	}
	return "unknown unit"
}

func zoneName(utc bool) string {
	if utc {
		return "UTC"
	}
	return "local"
}
