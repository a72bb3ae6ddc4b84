package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/klauspost/compress/zstd"
)

// Page types of parquet.thrift.
const (
	pageData       = file.PageTypeDataPage
	pageDictionary = file.PageTypeDictionaryPage
	pageDataV2     = file.PageTypeDataPageV2
)

const (
	// maxPageHeader is the longest page header accepted; statistics can make one long.
	maxPageHeader = 4 << 20
	// maxPageBytes bounds a page after decompression. Parquet itself ends at 2 GiB.
	maxPageBytes = 1 << 30
)

// pageHeader is a PageHeader of parquet.thrift, flattened.
type pageHeader struct {
	kind                     int64
	compressed, uncompressed int64
	crc                      uint32
	hasCRC                   bool
	values                   int64
	encoding                 int64
	defEncoding, repEncoding int64 // V1
	defBytes, repBytes       int64 // V2
	plainBody                bool  // V2: the values are not compressed whatever the codec
	length                   int   // bytes of the header itself
	hasData, hasDict         bool  // the structure that belongs to kind is there
}

// readPageHeader reads the header that b begins with. errThriftShort means that b ends in it.
func readPageHeader(b []byte) (h pageHeader, err error) {
	c := &compact{b: b}
	h.kind = -1
	for id, typ := c.field(0); typ != thriftStop; id, typ = c.field(id) {
		switch {
		case id == 1 && typ == thriftI32:
			h.kind = c.varint()
		case id == 2 && typ == thriftI32:
			h.uncompressed = c.varint()
		case id == 3 && typ == thriftI32:
			h.compressed = c.varint()
		case id == 4 && typ == thriftI32:
			h.crc, h.hasCRC = uint32(c.varint()), true
		case id == 5 && typ == thriftStruct && h.kind == int64(pageData):
			h.hasData = true
			c.numbers([]*int64{nil, &h.values, &h.encoding, &h.defEncoding, &h.repEncoding}, nil)
		case id == 7 && typ == thriftStruct && h.kind == int64(pageDictionary):
			h.hasDict = true
			c.numbers([]*int64{nil, &h.values, &h.encoding}, nil)
		case id == 8 && typ == thriftStruct && h.kind == int64(pageDataV2):
			h.hasData = true
			c.numbers([]*int64{nil, &h.values, nil, nil, &h.encoding, &h.defBytes, &h.repBytes, nil},
				func(id int16, set bool) { h.plainBody = h.plainBody || id == 7 && !set })
		default:
			c.skipField(nil, id, typ, 1)
		}
	}
	h.length = c.pos
	return h, c.err
}

// numbers reads a structure whose fields of interest are integers: field i goes to dst[i]; flag is
// told the booleans.
func (c *compact) numbers(dst []*int64, flag func(id int16, set bool)) {
	for id, typ := c.field(0); typ != thriftStop; id, typ = c.field(id) {
		switch {
		case typ == thriftI32 && id > 0 && int(id) < len(dst) && dst[id] != nil:
			*dst[id] = c.varint()
		case flag != nil && (typ == thriftTrue || typ == thriftFalse):
			flag(id, typ == thriftTrue)
		default:
			c.skipField(nil, id, typ, 2)
		}
	}
}

// pageLimits is what the footer allows the pages of a chunk.
type pageLimits struct {
	leaf         *schema.Column
	codec        compress.Compression
	uncompressed int64 // of one page
}

// checkHeader checks the numbers of a header; room is what is left of the chunk after it.
func (l *pageLimits) checkHeader(h *pageHeader, room int64) error {
	switch {
	case h.kind != int64(pageData) && h.kind != int64(pageDataV2) && h.kind != int64(pageDictionary):
		return fmt.Errorf("page type %d is not supported", h.kind)
	case h.kind == int64(pageDictionary) && !h.hasDict, h.kind != int64(pageDictionary) && !h.hasData:
		return errors.New("the page header is incomplete")
	case h.compressed < 0 || h.uncompressed < 0 || h.values < 0:
		return errors.New("the page header holds negative sizes")
	case h.compressed > room:
		return fmt.Errorf("a page of %d bytes does not fit in the %d bytes left of its column chunk", h.compressed, room)
	case h.uncompressed > l.uncompressed:
		return fmt.Errorf("a page of %d bytes uncompressed is above the limit of %d", h.uncompressed, l.uncompressed)
	case h.defBytes < 0 || h.repBytes < 0 || h.defBytes+h.repBytes > min(h.compressed, h.uncompressed):
		return errors.New("the levels of a page are longer than the page")
	case (h.plainBody || l.codec == compress.Codecs.Uncompressed) && h.compressed != h.uncompressed:
		return fmt.Errorf("an uncompressed page claims %d bytes and %d bytes", h.compressed, h.uncompressed)
	case h.kind == int64(pageDictionary):
		return l.checkDictionary(h)
	}
	return nil
}

// checkDictionary compares the number of entries with what they take in PLAIN form at the least.
func (l *pageLimits) checkDictionary(h *pageHeader) error {
	smallest := int64(4) // the length of a byte array
	switch l.leaf.PhysicalType() {
	case parquet.Types.Boolean:
		return errors.New("a boolean column has a dictionary page")
	case parquet.Types.Int64, parquet.Types.Double:
		smallest = 8
	case parquet.Types.Int96:
		smallest = 12
	case parquet.Types.FixedLenByteArray:
		smallest = int64(l.leaf.TypeLength())
	}
	if h.values > h.uncompressed/smallest {
		return fmt.Errorf("a dictionary of %d entries does not fit in %d bytes", h.values, h.uncompressed)
	}
	return nil
}

// checkBody checks what follows the header: the checksum, where there is one, and the lengths in
// the body that a decoder allocates by.
func (l *pageLimits) checkBody(h *pageHeader, body []byte) error {
	if h.hasCRC {
		if got := crc32.ChecksumIEEE(body); got != h.crc {
			return fmt.Errorf("a page fails its checksum: %08x stored, %08x computed; the file is damaged", h.crc, got)
		}
	}
	levels := h.defBytes + h.repBytes
	if want := h.uncompressed - levels; !h.plainBody {
		if err := checkFrame(l.codec, body[levels:], want); err != nil {
			return err
		}
	}
	switch parquet.Encoding(h.encoding) {
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.DeltaByteArray:
		if h.kind != int64(pageDictionary) {
			return l.checkDelta(h, body)
		}
	}
	return nil
}

// checkFrame compares the length that a compressed frame claims with the page header's. The
// decoders of snappy and zstd allocate by the former.
func checkFrame(codec compress.Compression, body []byte, want int64) error {
	claimed := want
	switch codec {
	case compress.Codecs.Snappy:
		if len(body) == 0 {
			return nil
		}
		n, used := binary.Uvarint(body)
		if used <= 0 || n > maxPageBytes {
			return errors.New("a snappy page has a corrupt length")
		}
		claimed = int64(n)
	case compress.Codecs.Zstd:
		n, stated := zstdContentSize(body)
		if !stated {
			return nil // the decoder will say, or grows with the data
		}
		if n > maxPageBytes {
			return errors.New("a zstd page has a corrupt length")
		}
		if int64(n) < want {
			return nil // several frames
		}
		claimed = int64(n)
	}
	if claimed != want {
		return fmt.Errorf("a page of %d bytes claims %d in its compressed frame", want, claimed)
	}
	return nil
}

// zstdContentSize is the length that the first frame of body states, if it has a header that states one.
func zstdContentSize(body []byte) (n uint64, stated bool) {
	var h zstd.Header
	if err := h.Decode(body); err != nil {
		return 0, false
	}
	return h.FrameContentSize, h.HasFCS
}
