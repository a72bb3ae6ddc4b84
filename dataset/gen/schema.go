package gen

import (
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// column is one column of the landing set: what it looks like, and how a row group of it is made.
type column struct {
	name string
	typ  parquet.Type
	// logical is nil for a column that is just its physical type.
	logical schema.LogicalType
	// nullsIn256 of 256 values are null; a column of 0 is required.
	nullsIn256 byte
	// write adds the chunk's pages for the rows of the worker's row group.
	write func(w *worker, c *column)
	// fill is for columns in PLAIN encoding (writePlain): it appends the values of a page to b, which
	// has room for them: maxValueBytes each, and fragmentSlack.
	fill func(w *worker, b []byte, p span) []byte
	// texts is for columns with a dictionary (writeDictionary): where values are drawn from.
	texts func(v *vocabulary) *weighted
}

// columns are the twenty columns in their order in the file. The place is part of the seed of a
// column's random numbers. Exactly nine hold nulls.
var columns = [...]column{
	plainText("event_id", 0, fillEventIDs),
	coded("device_id", 0, func(v *vocabulary) *weighted { return &v.devices }),
	coded("type", 0, func(v *vocabulary) *weighted { return &v.types }),
	timestamp("ts", fillTimes),
	number("user_id", parquet.Types.Int64, 77, fillUserIDs),
	number("session_id", parquet.Types.Int64, 0, fillSessionIDs),
	number("seq", parquet.Types.Int32, 0, fillSequence),
	number("duration_ms", parquet.Types.Int32, 51, fillDurations),
	number("amount", parquet.Types.Double, 179, fillAmounts),
	number("lat", parquet.Types.Double, 102, fillLatitudes),
	number("is_new", parquet.Types.Boolean, 0, fillIsNew),
	coded("country", 0, func(v *vocabulary) *weighted { return &v.countries }),
	coded("platform", 0, func(v *vocabulary) *weighted { return &v.platforms }),
	coded("app_version", 13, func(v *vocabulary) *weighted { return &v.versions }),
	coded("campaign", 128, func(v *vocabulary) *weighted { return &v.campaigns }),
	plainText("url", 26, fillURLs),
	coded("user_agent", 0, func(v *vocabulary) *weighted { return &v.agents }),
	plainText("payload", 13, fillPayloads),
	{name: "tags", typ: parquet.Types.ByteArray, nullsIn256: 26, write: (*worker).writeTags},
	timestamp("received_at", fillReceived),
}

// Places in the file of a column that another is derived from, and, behind all, of the vocabulary's
// random numbers.
const (
	deviceColumn     = 1
	vocabularyStream = len(columns)
)

func plainText(name string, nullsIn256 byte, fill func(*worker, []byte, span) []byte) column {
	return column{
		name: name, typ: parquet.Types.ByteArray, logical: schema.StringLogicalType{},
		nullsIn256: nullsIn256, write: (*worker).writePlain, fill: fill,
	}
}

func number(name string, typ parquet.Type, nullsIn256 byte, fill func(*worker, []byte, span) []byte) column {
	return column{name: name, typ: typ, nullsIn256: nullsIn256, write: (*worker).writePlain, fill: fill}
}

func timestamp(name string, fill func(*worker, []byte, span) []byte) column {
	c := number(name, parquet.Types.Int64, 0, fill)
	c.logical = schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	return c
}

func coded(name string, nullsIn256 byte, texts func(*vocabulary) *weighted) column {
	return column{
		name: name, typ: parquet.Types.ByteArray, logical: schema.StringLogicalType{},
		nullsIn256: nullsIn256, write: (*worker).writeDictionary, texts: texts,
	}
}

// newSchema is the Parquet schema of columns.
func newSchema() (*schema.Schema, error) {
	fields := make(schema.FieldList, len(columns))
	for i := range columns {
		node, err := columns[i].node()
		if err != nil {
			return nil, err
		}
		fields[i] = node
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return nil, err
	}
	return schema.NewSchema(root), nil
}

func (c *column) node() (schema.Node, error) {
	rep := parquet.Repetitions.Required
	if c.nullsIn256 > 0 {
		rep = parquet.Repetitions.Optional
	}
	if c.name != "tags" {
		return schema.NewPrimitiveNodeLogical(c.name, rep, c.logical, c.typ, 0, -1)
	}
	element, err := schema.NewPrimitiveNodeLogical("element", parquet.Repetitions.Optional,
		schema.StringLogicalType{}, c.typ, 0, -1)
	if err != nil {
		return nil, err
	}
	return schema.ListOfWithName(c.name, element, rep, -1)
}
