package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// Limits of what a footer may ask for.
const (
	// MaxFooterBytes is the longest footer that is read.
	MaxFooterBytes = 256 << 20
	// maxSchemaDepth bounds the nesting of a schema: arrow-go walks it by recursion, and a stack
	// that overflows cannot be recovered.
	maxSchemaDepth = 128
	// maxFixedWidth bounds the width of FIXED_LEN_BYTE_ARRAY.
	maxFixedWidth = 1 << 20
)

const (
	magic          = "PAR1"
	magicEncrypted = "PARE"
	tailBytes      = 8 // footer length and magic
)

var (
	errNotParquet = errors.New("not a Parquet file")
	errEncrypted  = errors.New("encrypted Parquet is not supported")
	errTruncated  = errors.New("truncated or corrupt Parquet file")
)

// footerLength judges the last eight bytes of a file of the given size.
func footerLength(tail []byte, size int64) (int64, error) {
	switch string(tail[4:]) {
	case magic:
	case magicEncrypted:
		return 0, errEncrypted
	default:
		return 0, fmt.Errorf("%w: it does not end with %s; it may be of another format, truncated or still being written", errNotParquet, magic)
	}
	n := uint64(binary.LittleEndian.Uint32(tail))
	if n > MaxFooterBytes {
		return 0, fmt.Errorf("%w: a footer of %d bytes is above the limit of %d", errTruncated, n, MaxFooterBytes)
	}
	if n+tailBytes+uint64(len(magic)) > uint64(size) {
		return 0, fmt.Errorf("%w: a footer of %d bytes does not fit in a file of %d", errTruncated, n, size)
	}
	return int64(n), nil
}

// parseFooter checks the Thrift structure of a footer and then lets arrow-go parse it.
func parseFooter(b []byte) (md *metadata.FileMetaData, err error) {
	if err := scanFooter(b); err != nil {
		return nil, fmt.Errorf("corrupt footer: %w", err)
	}
	defer recoverInto(&err, "corrupt footer")
	if md, err = metadata.NewFileMetaData(b, nil); err != nil {
		return nil, fmt.Errorf("corrupt footer: %w", err)
	}
	return md, nil
}

// Fields of FileMetaData and SchemaElement in parquet.thrift that the scan looks at.
const (
	footerSchema     = 2
	footerEncryption = 8

	elementType        = 1
	elementTypeLength  = 2
	elementRepetition  = 3
	elementName        = 4
	elementNumChildren = 5
)

// footerShape is FileMetaData of parquet.thrift as far as it has lists in it.
var footerShape = &shape{
	lists: map[int16]byte{footerSchema: thriftStruct, 4: thriftStruct, 5: thriftStruct, 7: thriftStruct},
	inner: map[int16]*shape{4: { // RowGroup
		lists: map[int16]byte{1: thriftStruct, 4: thriftStruct},
		inner: map[int16]*shape{1: { // ColumnChunk
			inner: map[int16]*shape{
				3: { // ColumnMetaData
					lists: map[int16]byte{2: thriftI32, 3: thriftBinary, 8: thriftStruct, 13: thriftStruct},
					inner: map[int16]*shape{
						16: {lists: map[int16]byte{2: thriftI64, 3: thriftI64}}, // SizeStatistics
						17: {lists: map[int16]byte{2: thriftI32}},               // GeospatialStatistics
					},
				},
				8: { // ColumnCryptoMetaData
					inner: map[int16]*shape{2: {lists: map[int16]byte{1: thriftBinary}}},
				},
			},
		}},
	}},
}

// scanFooter walks over a serialized FileMetaData. When it returns nil, all lengths in it are
// covered by its bytes, and its schema is one tree of bounded depth whose nodes have the children
// they claim: what arrow-go allocates for it is a small multiple of len(b).
func scanFooter(b []byte) error {
	c := &compact{b: b}
	var schemaErr error
	seen := false
	for id, typ := c.field(0); typ != thriftStop; id, typ = c.field(id) {
		switch {
		case id == footerSchema && typ == thriftList:
			seen = true
			if err := scanSchema(c); schemaErr == nil {
				schemaErr = err
			}
		case id == footerEncryption:
			return errEncrypted
		default:
			c.skipField(footerShape, id, typ, 1)
		}
	}
	switch {
	case c.err != nil:
		return c.err
	case schemaErr != nil:
		return schemaErr
	case !seen:
		return errors.New("it has no schema")
	}
	return nil
}

// scanSchema checks the list of SchemaElements, a tree in depth-first order.
func scanSchema(c *compact) error {
	n, elem := c.list()
	if c.err != nil {
		return c.err
	}
	if n == 0 || elem != thriftStruct {
		return errors.New("its schema is empty")
	}
	open := make([]int64, 0, 8) // children still to come of each group around the next node
	for i := range n {
		children, err := scanElement(c, i == 0)
		switch {
		case c.err != nil:
			return c.err
		case err != nil:
			return err
		case i > 0 && len(open) == 0:
			return errors.New("its schema has nodes outside the root")
		case len(open) >= maxSchemaDepth:
			return fmt.Errorf("its schema is nested more than %d deep", maxSchemaDepth)
		case children > int64(n-i-1):
			return fmt.Errorf("a group in its schema claims %d children, more than there are nodes", children)
		}
		if i > 0 {
			open[len(open)-1]--
		}
		open = append(open, children)
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return errors.New("its schema ends before its groups have all their children")
	}
	return nil
}

// scanElement reads one SchemaElement and returns its number of children.
func scanElement(c *compact, root bool) (children int64, err error) {
	var (
		physical, width, repetition int64 = -1, 0, 0
		name                        []byte
	)
	for id, typ := c.field(0); typ != thriftStop; id, typ = c.field(id) {
		switch {
		case id == elementType && typ == thriftI32:
			physical = c.varint()
		case id == elementTypeLength && typ == thriftI32:
			width = c.varint()
		case id == elementRepetition && typ == thriftI32:
			repetition = c.varint()
		case id == elementName && typ == thriftBinary:
			name = c.bytes()
		case id == elementNumChildren && typ == thriftI32:
			children = c.varint()
		default:
			c.skipField(nil, id, typ, 2)
		}
	}
	const fixedLenByteArray = 7
	switch {
	case children < 0:
		return 0, fmt.Errorf("column %q has %d children", name, children)
	case repetition < 0 || repetition > 2:
		return 0, fmt.Errorf("column %q has an unknown repetition %d", name, repetition)
	case root || children > 0:
	case physical == -1:
		return 0, fmt.Errorf("column %q is a group without fields, which Parquet cannot store", name)
	case physical < 0 || physical > fixedLenByteArray:
		return 0, fmt.Errorf("column %q has an unknown type %d", name, physical)
	case physical == fixedLenByteArray && (width <= 0 || width > maxFixedWidth):
		return 0, fmt.Errorf("column %q has fixed-length values of %d bytes; 1 to %d are supported", name, width, maxFixedWidth)
	}
	return children, nil
}
