package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of the Thrift compact protocol.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13
)

// maxThriftDepth is how deep structures may lie in each other. Parquet's own need 6.
const maxThriftDepth = 32

var errThriftShort = errors.New("ends in the middle of a Thrift structure")

// compact walks over a structure in the Thrift compact protocol. It allocates nothing and never
// reads past b, whatever lengths the bytes claim. The error sticks: after the first one all reads
// give zero, so a caller reads a whole structure and checks once.
type compact struct {
	b   []byte
	pos int
	err error
}

func (c *compact) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.pos = len(c.b)
}

func (c *compact) readByte() byte {
	if c.pos >= len(c.b) {
		c.fail(errThriftShort)
		return 0
	}
	c.pos++
	return c.b[c.pos-1]
}

func (c *compact) uvarint() uint64 {
	v, n := binary.Uvarint(c.b[c.pos:])
	if n <= 0 {
		c.fail(errThriftShort)
		return 0
	}
	c.pos += n
	return v
}

// varint reads a signed number, which Thrift writes in zigzag form.
func (c *compact) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// bytes reads a string; it aliases b.
func (c *compact) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)-c.pos) {
		c.fail(errThriftShort)
		return nil
	}
	c.pos += int(n)
	return c.b[c.pos-int(n) : c.pos]
}

// field reads the next field header of a structure; last is the id of the field before. The end of
// the structure, and an error, are type thriftStop.
func (c *compact) field(last int16) (id int16, typ byte) {
	h := c.readByte()
	typ = h & 0x0f
	if typ == thriftStop {
		return 0, thriftStop
	}
	if delta := int16(h >> 4); delta != 0 {
		return last + delta, typ
	}
	id = int16(c.varint())
	if c.err != nil {
		return 0, thriftStop
	}
	return id, typ
}

// list reads a list header. The number of elements never exceeds the bytes that are left, because
// no element is shorter than one byte.
func (c *compact) list() (n int, elem byte) {
	h := c.readByte()
	elem = h & 0x0f
	size := uint64(h >> 4)
	if size == 15 {
		size = c.uvarint()
	}
	if size > uint64(len(c.b)-c.pos) {
		c.fail(errThriftShort)
		return 0, elem
	}
	return int(size), elem
}

// shape says what a structure of parquet.thrift has in its list fields and in the structures inside
// it. Generated Thrift code does not look at the element type that a list header states, so a list
// of another type would be read otherwise than it is skipped here; shape lets the walk refuse it.
type shape struct {
	lists map[int16]byte   // field id of a list -> type of its elements
	inner map[int16]*shape // field id of a structure, or of a list of them -> their shape
}

// skipField passes over a value that is field id of a structure of the given shape; nil is a
// structure that parquet.thrift does not know or that has no list in it.
func (c *compact) skipField(s *shape, id int16, typ byte, depth int) {
	var inner *shape
	if s != nil {
		inner = s.inner[id]
		if want, ok := s.lists[id]; ok && typ == thriftList && c.pos < len(c.b) && c.b[c.pos]&0x0f != want {
			if n := c.b[c.pos] >> 4; n != 0 {
				c.fail(fmt.Errorf("holds a list of type %d where type %d belongs", c.b[c.pos]&0x0f, want))
				return
			}
		}
	}
	switch typ {
	case thriftTrue, thriftFalse: // the header holds the value
	case thriftStruct:
		c.skipStruct(inner, depth+1)
	case thriftList:
		n, elem := c.list()
		for i := 0; i < n && c.err == nil; i++ {
			if elem == thriftStruct {
				c.skipStruct(inner, depth+1)
			} else {
				c.skipElement(elem, depth+1)
			}
		}
	default:
		c.skipElement(typ, depth)
	}
}

// skipElement passes over a value in a list or map, where a boolean takes a byte.
func (c *compact) skipElement(typ byte, depth int) {
	if depth > maxThriftDepth {
		c.fail(fmt.Errorf("nests Thrift structures more than %d deep", maxThriftDepth))
		return
	}
	switch typ {
	case thriftTrue, thriftFalse, thriftByte:
		c.readByte()
	case thriftI16, thriftI32, thriftI64:
		c.uvarint()
	case thriftDouble:
		c.advance(8)
	case thriftUUID:
		c.advance(16)
	case thriftBinary:
		c.bytes()
	case thriftList, thriftSet:
		n, elem := c.list()
		for i := 0; i < n && c.err == nil; i++ {
			c.skipElement(elem, depth+1)
		}
	case thriftMap:
		c.skipMap(depth)
	case thriftStruct:
		c.skipStruct(nil, depth+1)
	default:
		c.fail(fmt.Errorf("holds an unknown Thrift type %d", typ))
	}
}

func (c *compact) skipMap(depth int) {
	n := c.uvarint()
	if n == 0 || c.err != nil {
		return
	}
	if n > uint64(len(c.b)-c.pos) {
		c.fail(errThriftShort)
		return
	}
	kinds := c.readByte()
	for i := uint64(0); i < n && c.err == nil; i++ {
		c.skipElement(kinds>>4, depth+1)
		c.skipElement(kinds&0x0f, depth+1)
	}
}

func (c *compact) skipStruct(s *shape, depth int) {
	if depth > maxThriftDepth {
		c.fail(fmt.Errorf("nests Thrift structures more than %d deep", maxThriftDepth))
		return
	}
	for id, typ := c.field(0); typ != thriftStop; id, typ = c.field(id) {
		c.skipField(s, id, typ, depth)
	}
}

func (c *compact) advance(n int) {
	if n > len(c.b)-c.pos {
		c.fail(errThriftShort)
		return
	}
	c.pos += n
}
