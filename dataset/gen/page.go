package gen

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/parquet"
)

// pageKind is PageType of parquet.thrift.
type pageKind uint64

const (
	dataPage       pageKind = 0
	dictionaryPage pageKind = 2
)

// pageHeader is what a page of version 1 says about itself.
type pageHeader struct {
	kind             pageKind
	uncompressedSize int
	compressedSize   int
	crc              uint32 // CRC-32 (IEEE) of the compressed bytes
	numValues        int    // levels, that is values and nulls
	encoding         parquet.Encoding
}

// Types of Thrift's compact protocol, as they stand in the low half of a field's first byte. The
// high half is the distance to the field before it.
const (
	fieldI32    = 0x5
	fieldStruct = 0xc
	nextField   = 1 << 4
)

// appendTo adds the header as a PageHeader of parquet.thrift in Thrift's compact protocol. arrow-go
// can write one only from a page object of its own and with its registered codec; it knows no CRC.
func (h *pageHeader) appendTo(b []byte) []byte {
	first := byte(nextField | fieldI32)
	i32 := func(field byte, v int32) {
		b = binary.AppendUvarint(append(b, field), uint64(uint32(v<<1)^uint32(v>>31)))
	}
	i32(first, int32(h.kind))             // 1: type
	i32(first, int32(h.uncompressedSize)) // 2: uncompressed_page_size
	i32(first, int32(h.compressedSize))   // 3: compressed_page_size
	i32(first, int32(h.crc))              // 4: crc
	if h.kind == dictionaryPage {
		b = append(b, 3*nextField|fieldStruct) // 7: dictionary_page_header
		i32(first, int32(h.numValues))         // 1: num_values
		i32(first, int32(h.encoding))          // 2: encoding
	} else {
		b = append(b, nextField|fieldStruct)     // 5: data_page_header
		i32(first, int32(h.numValues))           // 1: num_values
		i32(first, int32(h.encoding))            // 2: encoding
		i32(first, int32(parquet.Encodings.RLE)) // 3: definition_level_encoding
		i32(first, int32(parquet.Encodings.RLE)) // 4: repetition_level_encoding
	}
	return append(b, 0, 0) // the end of the inner struct, and of the header
}
