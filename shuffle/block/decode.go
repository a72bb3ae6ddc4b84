package block

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// DecodeChunk appends the rows of a chunk to v, a vector of the leaf. The values are copied. It
// reads data pages of version 1 in PLAIN, RLE_DICTIONARY and PLAIN_DICTIONARY, compares page CRCs,
// and checks every count of the chunk and of its pages. v must be indexed afterwards; after an
// error its content is undefined. Errors about the bytes have ErrCorrupt in their chain.
func DecodeChunk(leaf *schema.Column, c *Chunk, v *column.Vector) error {
	d := decoder{
		codec: c.Codec, width: column.Width(leaf), v: v,
		boolean: leaf.PhysicalType() == parquet.Types.Boolean,
		maxDef:  leaf.MaxDefinitionLevel(), maxRep: leaf.MaxRepetitionLevel(),
		sc: getScratch(),
	}
	defer d.sc.put()
	if v.Values.Width != d.width || v.Leaf.MaxDefinitionLevel() != d.maxDef || v.Leaf.MaxRepetitionLevel() != d.maxRep {
		return fmt.Errorf("column %s: values cannot be decoded into a vector of column %s, which has another type", leaf.Path(), v.Leaf.Path())
	}
	var rows, levels, nulls int64
	for i := range c.Pages {
		p := &c.Pages[i]
		if p.Dictionary != (i == 0 && c.HasDictionary()) {
			return corruptf("column %s: page %d is a second dictionary", leaf.Path(), i)
		}
		if err := d.page(p); err != nil {
			return fmt.Errorf("column %s: page %d: %w", leaf.Path(), i, err)
		}
		if !p.Dictionary {
			rows, levels, nulls = rows+int64(p.Rows), levels+int64(p.Levels), nulls+int64(p.Nulls)
		}
	}
	if rows != c.Rows || levels != c.Levels || nulls != c.Nulls {
		return corruptf("column %s: pages hold %d rows, %d levels and %d nulls where the chunk has %d, %d and %d",
			leaf.Path(), rows, levels, nulls, c.Rows, c.Levels, c.Nulls)
	}
	return nil
}

// decoder decodes the pages of one chunk into v.
type decoder struct {
	codec          Codec
	width          int
	boolean        bool
	maxDef, maxRep int16
	v              *column.Vector
	sc             *scratch
	dict           column.Values
}

// page decodes one page and compares it with what p says of it.
func (d *decoder) page(p *Page) error {
	h, n, err := ParseHeader(p.Bytes)
	if err != nil {
		return err
	}
	stored := p.Bytes[n:]
	switch {
	case len(stored) != h.Compressed:
		return corruptf("%d bytes where the page header says %d", len(stored), h.Compressed)
	case h.HasCRC && crc32.ChecksumIEEE(stored) != h.CRC:
		return corruptf("the page's CRC does not fit its bytes")
	case h.NumValues != p.Levels:
		return corruptf("%d values where the chunk table says %d", h.NumValues, p.Levels)
	case p.Dictionary:
		return d.dictionary(&h, stored)
	case h.Type != DataPage:
		return corruptf("page type %d where a data page of version 1 is expected", h.Type)
	case d.maxDef > 0 && h.DefEncoding != parquet.Encodings.RLE, d.maxRep > 0 && h.RepEncoding != parquet.Encodings.RLE:
		return corruptf("levels are encoded as %s and %s; want RLE", h.DefEncoding, h.RepEncoding)
	}
	body := stored
	if d.codec != None {
		if body, err = d.codec.Decompress(d.sc.body[:0], stored, h.Uncompressed); err != nil {
			return err
		}
		d.sc.body = body[:0]
	} else if h.Uncompressed != len(stored) {
		return corruptf("%d bytes where the page header says %d", len(stored), h.Uncompressed)
	}
	rows, present, body, err := d.levels(h.NumValues, body)
	if err != nil {
		return err
	}
	if rows != p.Rows || h.NumValues-present != p.Nulls {
		return corruptf("%d rows and %d nulls where the chunk table says %d and %d", rows, h.NumValues-present, p.Rows, p.Nulls)
	}
	d.v.Rows += rows
	switch h.Encoding {
	case parquet.Encodings.Plain:
		return d.plain(&d.v.Values, body, present)
	case parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
		return d.codes(body, present)
	}
	return corruptf("encoding %s is not written by Sluice", h.Encoding)
}

// dictionary decodes the dictionary page, which comes first.
func (d *decoder) dictionary(h *Header, stored []byte) error {
	if h.Type != DictionaryPage || h.Encoding != parquet.Encodings.Plain && h.Encoding != parquet.Encodings.PlainDict {
		return corruptf("page type %d in %s where a PLAIN dictionary is expected", h.Type, h.Encoding)
	}
	body, err := d.codec.Decompress(nil, stored, h.Uncompressed)
	if err != nil {
		return err
	}
	d.dict = column.Values{Width: d.width}
	return d.plain(&d.dict, body, h.NumValues)
}

// levels appends n levels to the vector and returns the number of rows and of values among them.
// A page must begin with a row.
func (d *decoder) levels(n int, body []byte) (rows, present int, rest []byte, err error) {
	v := d.v
	rows, present = n, n
	if d.maxRep > 0 {
		at := len(v.Rep)
		v.Rep = slices.Grow(v.Rep, n)[:at+n]
		rep := v.Rep[at:]
		if body, err = decodeLevels(rep, body, d.maxRep); err != nil {
			return 0, 0, nil, fmt.Errorf("repetition levels: %w", err)
		}
		rows = 0
		for _, l := range rep {
			if l == 0 {
				rows++
			}
		}
		if n > 0 && rep[0] != 0 {
			return 0, 0, nil, corruptf("the page does not begin at the start of a row")
		}
	}
	if d.maxDef > 0 {
		at := len(v.Def)
		v.Def = slices.Grow(v.Def, n)[:at+n]
		def := v.Def[at:]
		if body, err = decodeLevels(def, body, d.maxDef); err != nil {
			return 0, 0, nil, fmt.Errorf("definition levels: %w", err)
		}
		present = 0
		for _, l := range def {
			if l == d.maxDef {
				present++
			}
		}
	}
	return rows, present, body, nil
}

// plain appends n PLAIN values, which fill body exactly, to dst.
func (d *decoder) plain(dst *column.Values, body []byte, n int) error {
	switch {
	case d.boolean:
		if len(body) != (n+7)/8 {
			return corruptf("%d bytes for %d booleans", len(body), n)
		}
		at := len(dst.Data)
		dst.Data = slices.Grow(dst.Data, n)[:at+n]
		for i := range n {
			dst.Data[at+i] = body[i>>3] >> (i & 7) & 1
		}
		return nil
	case d.width > 0:
		if uint64(len(body)) != uint64(n)*uint64(d.width) {
			return corruptf("%d bytes for %d values of %d bytes", len(body), n, d.width)
		}
		dst.Data = append(dst.Data, body...)
		return nil
	}
	return plainBytes(dst, body, n)
}

// plainBytes appends n byte arrays. Each takes at least the four bytes of its length, so the
// buffers never grow beyond what body justifies.
func plainBytes(dst *column.Values, body []byte, n int) error {
	if n == 0 && len(body) == 0 {
		return nil
	}
	if uint64(len(body)) < 4*uint64(n) {
		return corruptf("%d bytes for %d byte arrays", len(body), n)
	}
	payload := len(body) - 4*n
	if uint64(len(dst.Data))+uint64(payload) > math.MaxUint32 {
		return errTooLarge
	}
	dst.Data = slices.Grow(dst.Data, payload)
	dst.Offsets = slices.Grow(dst.Offsets, n+1)
	if len(dst.Offsets) == 0 {
		dst.Offsets = append(dst.Offsets, 0)
	}
	for range n {
		if len(body) < 4 {
			return corruptf("a byte array is cut off")
		}
		size := binary.LittleEndian.Uint32(body)
		body = body[4:]
		if uint64(size) > uint64(len(body)) {
			return corruptf("a byte array of %d bytes where %d are left", size, len(body))
		}
		dst.Data = append(dst.Data, body[:size]...)
		dst.Offsets = append(dst.Offsets, uint32(len(dst.Data)))
		body = body[size:]
	}
	if len(body) > 0 {
		return corruptf("%d bytes behind the last value", len(body))
	}
	return nil
}

// errTooLarge is not about corrupt bytes: a vector's offsets have 32 bits.
var errTooLarge = fmt.Errorf("decoded values take more than %d bytes: use smaller pieces", uint32(math.MaxUint32))

// codes appends n values of the dictionary, given by their codes.
func (d *decoder) codes(body []byte, n int) error {
	if len(body) == 0 {
		return corruptf("the width of dictionary codes is missing")
	}
	sc := d.sc
	sc.codes = slices.Grow(sc.codes[:0], n)[:n]
	used, err := decodeHybrid(sc.codes, body[1:], int(body[0]))
	if err != nil {
		return err
	}
	if used != len(body)-1 {
		return corruptf("%d bytes behind the last dictionary code", len(body)-1-used)
	}
	entries := uint32(d.dict.Len())
	for _, c := range sc.codes {
		if c >= entries {
			return corruptf("code %d of a dictionary with %d entries", c, entries)
		}
	}
	if d.width == 0 {
		return d.lookUpBytes(sc.codes)
	}
	dst, w := &d.v.Values, d.width
	if uint64(len(dst.Data))+uint64(n)*uint64(w) > math.MaxUint32 {
		return errTooLarge
	}
	at := len(dst.Data)
	dst.Data = slices.Grow(dst.Data, n*w)[:at+n*w]
	out := dst.Data[at:]
	for i, c := range sc.codes {
		switch w {
		case 4:
			binary.LittleEndian.PutUint32(out[i*4:], d.dict.Uint32(int(c)))
		case 8:
			binary.LittleEndian.PutUint64(out[i*8:], d.dict.Uint64(int(c)))
		default:
			copy(out[i*w:], d.dict.At(int(c)))
		}
	}
	return nil
}

func (d *decoder) lookUpBytes(codes []uint32) error {
	if len(codes) == 0 {
		return nil
	}
	dst, offs := &d.v.Values, d.dict.Offsets
	total := uint64(len(dst.Data))
	for _, c := range codes {
		total += uint64(offs[c+1] - offs[c])
	}
	if total > math.MaxUint32 {
		return errTooLarge
	}
	dst.Data = slices.Grow(dst.Data, int(total)-len(dst.Data))
	dst.Offsets = slices.Grow(dst.Offsets, len(codes)+1)
	if len(dst.Offsets) == 0 {
		dst.Offsets = append(dst.Offsets, 0)
	}
	for _, c := range codes {
		dst.Data = append(dst.Data, d.dict.Data[offs[c]:offs[c+1]]...)
		dst.Offsets = append(dst.Offsets, uint32(len(dst.Data)))
	}
	return nil
}
