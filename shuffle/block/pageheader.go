package block

import (
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/parquet"
)

// PageType is PageType of parquet.thrift.
type PageType int32

// The page types of the format.
const (
	DataPage       PageType = 0
	IndexPage      PageType = 1
	DictionaryPage PageType = 2
	DataPageV2     PageType = 3
)

// Header is PageHeader of parquet.thrift as far as Sluice looks at it. Statistics in page headers
// are skipped: they stand in the chunk table and in the page index.
type Header struct {
	Type         PageType
	Uncompressed int // bytes of the body
	Compressed   int // bytes of the body as it is stored
	CRC          uint32
	HasCRC       bool
	NumValues    int // values and nulls, or entries of a dictionary
	Encoding     parquet.Encoding

	// Version 1 only.
	DefEncoding, RepEncoding parquet.Encoding

	// Version 2 only. Levels come first in the body and are never compressed.
	Nulls, Rows        int
	DefBytes, RepBytes int
	ValuesCompressed   bool
}

// Types of Thrift's compact protocol. A field begins with one byte: the low half is the type, the
// high half the distance to the id of the field before it.
const (
	thriftTrue   = 0x1
	thriftFalse  = 0x2
	thriftByte   = 0x3
	thriftI16    = 0x4
	thriftI32    = 0x5
	thriftI64    = 0x6
	thriftDouble = 0x7
	thriftBinary = 0x8
	thriftList   = 0x9
	thriftSet    = 0xa
	thriftMap    = 0xb
	thriftStruct = 0xc
	thriftNext   = 1 << 4
)

// maxThriftDepth bounds how deep a skipped value may be nested. A page header has three levels.
const maxThriftDepth = 8

// AppendHeader adds the header of a data page of version 1 or of a dictionary page to b, always
// with its CRC.
func AppendHeader(b []byte, h *Header) []byte {
	const first = thriftNext | thriftI32
	b = appendI32(b, first, int32(h.Type))         // 1: type
	b = appendI32(b, first, int32(h.Uncompressed)) // 2: uncompressed_page_size
	b = appendI32(b, first, int32(h.Compressed))   // 3: compressed_page_size
	b = appendI32(b, first, int32(h.CRC))          // 4: crc
	if h.Type == DictionaryPage {
		b = append(b, 3*thriftNext|thriftStruct)    // 7: dictionary_page_header
		b = appendI32(b, first, int32(h.NumValues)) // 1: num_values
		b = appendI32(b, first, int32(h.Encoding))  // 2: encoding
	} else {
		b = append(b, thriftNext|thriftStruct)                // 5: data_page_header
		b = appendI32(b, first, int32(h.NumValues))           // 1: num_values
		b = appendI32(b, first, int32(h.Encoding))            // 2: encoding
		b = appendI32(b, first, int32(parquet.Encodings.RLE)) // 3: definition_level_encoding
		b = appendI32(b, first, int32(parquet.Encodings.RLE)) // 4: repetition_level_encoding
	}
	return append(b, 0, 0) // the end of the inner struct, and of the header
}

func appendI32(b []byte, field byte, v int32) []byte {
	return binary.AppendUvarint(append(b, field), uint64(uint32(v<<1)^uint32(v>>31)))
}

// ParseHeader reads the page header at the start of b and returns its length. It takes no memory
// and never reads beyond b. Sizes are within MaxPageBytes and MaxPageLevels; that the body lies
// within b is for the caller to check.
func ParseHeader(b []byte) (Header, int, error) {
	h := Header{ValuesCompressed: true}
	r := thriftReader{b: b}
	var seen, inner uint32 // bit i: field i was there
	var kind PageType = -1 // by the inner struct
	r.fields(func(id int, typ byte) bool {
		switch {
		case typ == thriftI32 && id >= 1 && id <= 4:
			v := r.i32()
			switch id {
			case 1:
				h.Type = PageType(v)
			case 2:
				h.Uncompressed = r.size(v, MaxPageBytes)
			case 3:
				h.Compressed = r.size(v, MaxPageBytes)
			case 4:
				h.CRC, h.HasCRC = uint32(v), true
			}
			seen |= 1 << id
		case typ == thriftStruct && (id == 5 || id == 7 || id == 8) && kind < 0:
			switch id {
			case 5:
				kind = DataPage
			case 7:
				kind = DictionaryPage
			case 8:
				kind = DataPageV2
			}
			inner = r.innerHeader(kind, &h)
		default:
			return false
		}
		return true
	})
	switch {
	case r.err != nil:
		return Header{}, 0, corruptf("page header: %w", r.err)
	case seen&0b1110 != 0b1110:
		return Header{}, 0, corruptf("page header: type or size is missing")
	case h.Type < DataPage || h.Type > DataPageV2:
		return Header{}, 0, corruptf("page header: unknown page type %d", h.Type)
	case h.Type != IndexPage && h.Type != kind:
		return Header{}, 0, corruptf("page header: the part for page type %d is missing", h.Type)
	case h.Type != IndexPage && inner != requiredFields(kind):
		return Header{}, 0, corruptf("page header: a required field of page type %d is missing", h.Type)
	case h.Type == DataPageV2 && (h.Nulls > h.NumValues || h.Rows > h.NumValues || h.DefBytes+h.RepBytes > h.Uncompressed):
		return Header{}, 0, corruptf("page header: counts of a version 2 page contradict each other")
	}
	return h, r.pos, nil
}

// requiredFields are the ids, as bits, of the numbers that parquet.thrift requires of an inner
// struct. They come first; what follows is optional.
func requiredFields(kind PageType) uint32 {
	switch kind {
	case DataPage:
		return 0b11110
	case DictionaryPage:
		return 0b110
	}
	return 0b1111110
}

// innerHeader reads DataPageHeader, DictionaryPageHeader or DataPageHeaderV2 and returns which
// fields were there.
func (r *thriftReader) innerHeader(kind PageType, h *Header) (seen uint32) {
	r.fields(func(id int, typ byte) bool {
		if kind == DataPageV2 && id == 7 && (typ == thriftTrue || typ == thriftFalse) {
			h.ValuesCompressed = typ == thriftTrue
			return true
		}
		if typ != thriftI32 || requiredFields(kind)>>id&1 == 0 {
			return false
		}
		v := r.i32()
		seen |= 1 << id
		switch {
		case id == 1:
			h.NumValues = r.size(v, MaxPageLevels)
		case kind != DataPageV2 && id == 2, kind == DataPageV2 && id == 4:
			h.Encoding = parquet.Encoding(r.size(v, 63))
		case kind == DataPage && id == 3:
			h.DefEncoding = parquet.Encoding(r.size(v, 63))
		case kind == DataPage && id == 4:
			h.RepEncoding = parquet.Encoding(r.size(v, 63))
		case id == 2:
			h.Nulls = r.size(v, MaxPageLevels)
		case id == 3:
			h.Rows = r.size(v, MaxPageLevels)
		case id == 5:
			h.DefBytes = r.size(v, MaxPageBytes)
		case id == 6:
			h.RepBytes = r.size(v, MaxPageBytes)
		}
		return true
	})
	return seen
}

// thriftReader reads Thrift's compact protocol. After the first error it reads nothing more, so
// that callers check once at the end.
type thriftReader struct {
	b     []byte
	pos   int
	depth int
	err   error
}

var (
	errThriftEnd   = errors.New("ends too early")
	errThriftRange = errors.New("a number is out of range")
	errThriftType  = errors.New("unknown field type")
	errThriftDepth = errors.New("nested too deep")
)

func (r *thriftReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *thriftReader) byte() byte {
	if r.err != nil || r.pos >= len(r.b) {
		r.fail(errThriftEnd)
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

func (r *thriftReader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.pos:])
	if n <= 0 {
		if n == 0 {
			r.fail(errThriftEnd)
		} else {
			r.fail(errThriftRange)
		}
		return 0
	}
	r.pos += n
	return v
}

func (r *thriftReader) i32() int32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.fail(errThriftRange)
		return 0
	}
	return int32(uint32(v)>>1) ^ -int32(v&1)
}

// size checks a count or size against its limit.
func (r *thriftReader) size(v int32, limit int) int {
	if v < 0 || int(v) > limit {
		r.fail(errThriftRange)
		return 0
	}
	return int(v)
}

// skipBytes passes over n bytes.
func (r *thriftReader) skipBytes(n uint64) {
	if r.err != nil {
		return
	}
	if n > uint64(len(r.b)-r.pos) {
		r.fail(errThriftEnd)
		return
	}
	r.pos += int(n)
}

// fields calls f for every field of a struct; f returns false for one that it did not read.
func (r *thriftReader) fields(f func(id int, typ byte) bool) {
	if r.depth++; r.depth > maxThriftDepth {
		r.fail(errThriftDepth)
	}
	defer func() { r.depth-- }()
	id := 0
	for r.err == nil {
		head := r.byte()
		if head == 0 || r.err != nil {
			return
		}
		if head>>4 != 0 {
			id += int(head >> 4)
		} else {
			id = int(r.i32())
		}
		if id < 0 || id > 1<<15-1 {
			r.fail(errThriftRange)
			return
		}
		if !f(id, head&0xf) {
			r.skip(head&0xf, false)
		}
	}
}

// skip passes over a value. A boolean that is a field stands in the field's type and has no bytes;
// as an element of a list it has one.
func (r *thriftReader) skip(typ byte, element bool) {
	switch typ {
	case thriftTrue, thriftFalse:
		if element {
			r.byte()
		}
	case thriftByte:
		r.byte()
	case thriftI16, thriftI32, thriftI64:
		r.uvarint()
	case thriftDouble:
		r.skipBytes(8)
	case thriftBinary:
		r.skipBytes(r.uvarint())
	case thriftList, thriftSet:
		r.skipList()
	case thriftStruct:
		r.fields(func(int, byte) bool { return false })
	default: // maps are not used in page headers
		r.fail(errThriftType)
	}
}

// skipList passes over a list or set. Every element takes at least one byte, so the loop ends with
// the buffer whatever count the list claims.
func (r *thriftReader) skipList() {
	if r.depth++; r.depth > maxThriftDepth {
		r.fail(errThriftDepth)
	}
	defer func() { r.depth-- }()
	head := r.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = r.uvarint()
	}
	for ; n > 0 && r.err == nil; n-- {
		r.skip(head&0xf, true)
	}
}
