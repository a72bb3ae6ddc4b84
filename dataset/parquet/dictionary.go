package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/sluice-engine/sluice/dataset/column"
)

// DictionaryValues reads the entries of a column chunk's dictionary, and nothing else of it. ok is
// false when the footer does not say that all its data pages are dictionary-coded, or when the
// dictionary takes more than limit bytes, in the file or decompressed. Values are PLAIN bytes, byte
// arrays without their length; they share one buffer that belongs to the caller. A dictionary may
// hold values that no row uses. A chunk without rows has none, and ok is true.
func (f *File) DictionaryValues(rg, leaf int, limit int64) (values [][]byte, ok bool, err error) {
	if rg < 0 || rg >= len(f.groups) || leaf < 0 || leaf >= f.md.Schema.NumColumns() {
		return nil, false, inputFailure(f.name, fmt.Errorf("there is no column %d in row group %d", leaf, rg))
	}
	info := &f.groups[rg].Leaves[leaf]
	switch {
	case info.NumValues == 0:
		return nil, true, nil
	case !info.HasDict || !info.AllDict || info.DictBytes > limit:
		return nil, false, nil
	}
	values, ok, err = f.readDictionary(rg, leaf, limit)
	return values, ok, inputFailure(f.where(rg, leaf), err)
}

func (f *File) readDictionary(rg, leaf int, limit int64) (_ [][]byte, ok bool, err error) {
	defer recoverInto(&err, "reading the dictionary page")
	info := &f.groups[rg].Leaves[leaf]
	buf := getBuffer(int(info.DictBytes))
	defer func() { putBuffer(buf) }()
	if err := f.readAt(buf, f.md.RowGroups[rg].Columns[leaf].MetaData.GetDictionaryPageOffset()); err != nil {
		return nil, false, err
	}
	h, err := readPageHeader(buf)
	if err != nil {
		return nil, false, fmt.Errorf("the header of the dictionary page %w", err)
	}
	if h.kind != int64(pageDictionary) {
		return nil, false, errors.New("there is no dictionary page where the footer says")
	}
	lim := pageLimits{leaf: f.md.Schema.Column(leaf), codec: info.Codec, uncompressed: maxPageBytes}
	if err := lim.checkHeader(&h, int64(len(buf)-h.length)); err != nil {
		return nil, false, err
	}
	if h.uncompressed > limit {
		return nil, false, nil
	}
	body := buf[h.length : int64(h.length)+h.compressed]
	if err := lim.checkBody(&h, body); err != nil {
		return nil, false, err
	}
	codec, err := compress.GetCodec(info.Codec)
	if err != nil {
		return nil, false, err
	}
	plain, err := compress.Decode(codec, make([]byte, h.uncompressed), body)
	if err != nil {
		return nil, false, fmt.Errorf("decompressing the dictionary page: %w", err)
	}
	if int64(len(plain)) != h.uncompressed {
		return nil, false, fmt.Errorf("the dictionary page holds %d bytes, its header says %d", len(plain), h.uncompressed)
	}
	values, err := splitPlain(plain, int(h.values), column.Width(lim.leaf))
	return values, err == nil, err
}

// splitPlain cuts n PLAIN values of a width, 0 for byte arrays; they alias b.
func splitPlain(b []byte, n, width int) ([][]byte, error) {
	values := make([][]byte, n)
	for i := range values {
		size := width
		if width == 0 {
			if len(b) < 4 {
				return nil, fmt.Errorf("the dictionary page ends after %d of %d values", i, n)
			}
			// A length above what is left, negative ones included, fails the next check.
			l := binary.LittleEndian.Uint32(b)
			b = b[4:]
			if uint64(l) > uint64(len(b)) {
				return nil, fmt.Errorf("value %d of the dictionary page is longer than the page", i)
			}
			size = int(l)
		}
		if size > len(b) {
			return nil, fmt.Errorf("the dictionary page ends after %d of %d values", i, n)
		}
		values[i], b = b[:size:size], b[size:]
	}
	return values, nil
}
