package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
)

// maxDeltaBlock bounds the values per block of a delta-coded page. Writers use 128; the header has
// room for 2^32, and arrow-go allocates by it.
const maxDeltaBlock = 1 << 16

var errDelta = errors.New("a delta-coded page has a corrupt header")

// checkDelta decompresses a delta-coded page and checks the block headers by which arrow-go
// allocates. It costs such pages a second decompression; they are rare.
func (l *pageLimits) checkDelta(h *pageHeader, body []byte) (err error) {
	defer recoverInto(&err, "decompressing a page")
	values, err := l.pageValues(h, body)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return nil // all null, or an error that the decoder reports
	}
	rest, err := scanDelta(values, h.values)
	if err == nil && parquet.Encoding(h.encoding) == parquet.Encodings.DeltaByteArray {
		_, err = scanDelta(rest, h.values) // prefix lengths are followed by suffix lengths
	}
	return err
}

// pageValues returns the value bytes of a data page, behind its levels.
func (l *pageLimits) pageValues(h *pageHeader, body []byte) ([]byte, error) {
	levels := h.defBytes + h.repBytes
	plain := body[levels:]
	if !h.plainBody && l.codec != compress.Codecs.Uncompressed && len(plain) > 0 {
		codec, err := compress.GetCodec(l.codec)
		if err != nil {
			return nil, err
		}
		if plain, err = compress.Decode(codec, make([]byte, h.uncompressed-levels), plain); err != nil {
			return nil, fmt.Errorf("decompressing a page: %w", err)
		}
	}
	if h.kind == int64(pageDataV2) {
		return plain, nil
	}
	var err error
	if l.leaf.MaxRepetitionLevel() > 0 {
		if plain, err = skipLevels(plain, h.repEncoding, h.values, l.leaf.MaxRepetitionLevel()); err != nil {
			return nil, err
		}
	}
	if l.leaf.MaxDefinitionLevel() > 0 {
		plain, err = skipLevels(plain, h.defEncoding, h.values, l.leaf.MaxDefinitionLevel())
	}
	return plain, err
}

// skipLevels passes over the levels of a V1 page.
func skipLevels(b []byte, encoding, values int64, maxLevel int16) ([]byte, error) {
	var n int64
	switch parquet.Encoding(encoding) {
	case parquet.Encodings.RLE:
		if len(b) < 4 {
			return nil, errors.New("the levels of a page are cut")
		}
		n = 4 + int64(binary.LittleEndian.Uint32(b))
	case parquet.Encodings.BitPacked:
		n = (values*int64(bits.Len16(uint16(maxLevel))) + 7) / 8
	default:
		return nil, fmt.Errorf("levels in encoding %d are not supported", encoding)
	}
	if n > int64(len(b)) {
		return nil, errors.New("the levels of a page are longer than the page")
	}
	return b[n:], nil
}

// scanDelta walks over one DELTA_BINARY_PACKED stream of at most limit values and returns what
// follows it.
//
// Format: block size, miniblocks per block, number of values, first value; then blocks of minimum
// delta, one bit width per miniblock, and the miniblocks that hold values.
func scanDelta(b []byte, limit int64) ([]byte, error) {
	c := &compact{b: b}
	block, minis, total := c.uvarint(), c.uvarint(), c.uvarint()
	c.uvarint() // first value
	switch {
	case c.err != nil:
		return nil, errDelta
	case total == 0 && block == 0 && minis == 0:
		return b[c.pos:], nil // what arrow-go writes for a page of nulls
	case block == 0 || block > maxDeltaBlock || minis == 0 || minis > block/8 || block%minis != 0:
		return nil, fmt.Errorf("%w: %d values in %d miniblocks a block", errDelta, block, minis)
	case total > uint64(limit):
		return nil, fmt.Errorf("%w: %d values where the page has %d", errDelta, total, limit)
	}
	perMini := block / minis
	left := uint64(0)
	if total > 0 {
		left = total - 1 // the first value stands in the header
	}
	for left > 0 && c.err == nil {
		c.uvarint() // minimum delta
		widths := c.pos
		c.advance(int(minis))
		for i := uint64(0); i < minis && left > 0 && c.err == nil; i++ {
			c.advance(int(perMini * uint64(b[widths+int(i)]) / 8))
			left -= min(left, perMini)
		}
	}
	if c.err != nil {
		return nil, errDelta
	}
	return b[c.pos:], nil
}
