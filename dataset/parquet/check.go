package parquet

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// checkFooter checks every number that a reader of the file would trust, and fills f.groups.
func (f *File) checkFooter() (err error) {
	defer recoverInto(&err, "corrupt footer")
	if err := checkSchema(f.md.Schema); err != nil {
		return err
	}
	f.groups = make([]RowGroup, len(f.md.RowGroups))
	total := int64(0)
	for i := range f.md.RowGroups {
		if err := f.checkRowGroup(i); err != nil {
			return fmt.Errorf("corrupt footer: row group %d: %w", i, err)
		}
		if f.groups[i].Rows > math.MaxInt64-total {
			return fmt.Errorf("corrupt footer: row group %d: the row counts overflow", i)
		}
		total += f.groups[i].Rows
	}
	if total != f.md.NumRows {
		return fmt.Errorf("corrupt footer: the file claims %d rows but its row groups hold %d", f.md.NumRows, total)
	}
	return nil
}

// checkSchema refuses what arrow-go accepts but nothing after it could handle.
func checkSchema(sc *schema.Schema) error {
	if sc.NumColumns() == 0 {
		return fmt.Errorf("the file has no columns")
	}
	for i := range sc.NumColumns() {
		leaf := sc.Column(i)
		n := int64(-1)
		if leaf.PhysicalType() == parquet.Types.FixedLenByteArray {
			n = int64(leaf.TypeLength())
		}
		if n == 0 || n > maxFixedWidth {
			return fmt.Errorf("column %s has fixed-length values of %d bytes; 1 to %d are supported", leaf.Path(), n, maxFixedWidth)
		}
	}
	return nil
}

func (f *File) checkRowGroup(i int) error {
	rg := f.md.RowGroups[i]
	sc := f.md.Schema
	switch {
	case rg == nil:
		return fmt.Errorf("it is missing")
	case rg.NumRows < 0:
		return fmt.Errorf("it claims %d rows", rg.NumRows)
	case len(rg.Columns) != sc.NumColumns():
		return fmt.Errorf("it has %d column chunks where the schema has %d columns", len(rg.Columns), sc.NumColumns())
	}
	g := RowGroup{Rows: rg.NumRows, Leaves: make([]LeafInfo, sc.NumColumns())}
	meta := f.md.RowGroup(i)
	for j := range rg.Columns {
		info, err := f.checkChunk(meta, i, j)
		if err != nil {
			return fmt.Errorf("column %s: %w", sc.Column(j).Path(), err)
		}
		// Chunks may overlap on purpose, so the sum is not bounded by the file's size.
		if info.Compressed > math.MaxInt64-g.Bytes {
			return fmt.Errorf("the sizes of its column chunks overflow")
		}
		g.Bytes += info.Compressed
		g.Leaves[j] = info
		// arrow-go reads the place of the page index with every chunk and fails when it is
		// malformed. Nobody here needs the index, so a damaged one does no harm.
		c := rg.Columns[j]
		if c.GetColumnIndexOffset() < 0 || c.GetColumnIndexLength() <= 0 {
			c.ColumnIndexOffset, c.ColumnIndexLength = nil, nil
		}
		if c.GetOffsetIndexOffset() < 0 || c.GetOffsetIndexLength() <= 0 {
			c.OffsetIndexOffset, c.OffsetIndexLength = nil, nil
		}
	}
	f.groups[i] = g
	return nil
}

// checkChunk checks one column chunk against its row group, its leaf and the file.
func (f *File) checkChunk(rg *metadata.RowGroupMetaData, i, j int) (LeafInfo, error) {
	rows := rg.NumRows()
	leaf := f.md.Schema.Column(j)
	col, err := rg.ColumnChunk(j)
	if err != nil {
		return LeafInfo{}, err
	}
	switch {
	case col.CryptoMetadata() != nil:
		return LeafInfo{}, errEncrypted
	case col.FilePath() != "":
		return LeafInfo{}, fmt.Errorf("its data lies in another file (%q), which is not supported", col.FilePath())
	case col.Type() != leaf.PhysicalType():
		return LeafInfo{}, fmt.Errorf("the chunk is of type %s but the schema says %s", col.Type(), leaf.PhysicalType())
	case col.NumValues() < 0 || col.TotalCompressedSize() < 0 || col.TotalUncompressedSize() < 0:
		return LeafInfo{}, fmt.Errorf("negative sizes: %d values, %d bytes, %d bytes uncompressed",
			col.NumValues(), col.TotalCompressedSize(), col.TotalUncompressedSize())
	case leaf.MaxRepetitionLevel() == 0 && col.NumValues() != rows:
		return LeafInfo{}, fmt.Errorf("it holds %d values but its row group %d rows", col.NumValues(), rows)
	case leaf.MaxRepetitionLevel() > 0 && col.NumValues() < rows:
		return LeafInfo{}, fmt.Errorf("it holds %d values but its row group %d rows", col.NumValues(), rows)
	case rows == 0 && col.NumValues() > 0:
		return LeafInfo{}, fmt.Errorf("it holds %d values but its row group no rows", col.NumValues())
	}
	info := LeafInfo{
		Compressed:   col.TotalCompressedSize(),
		Uncompressed: col.TotalUncompressedSize(),
		NumValues:    col.NumValues(),
		Codec:        col.Compression(),
		NullCount:    -1,
	}
	if info.NumValues == 0 {
		return info, nil // nothing will be read; some writers leave the offsets at 0
	}
	if !supportedCodec(info.Codec) {
		return info, fmt.Errorf("compression %s is not supported; rewrite the file with zstd, snappy, gzip, lz4_raw or none", codecName(info.Codec))
	}
	start, err := f.checkRange(col)
	if err != nil {
		return info, err
	}
	if col.HasDictionaryPage() && col.DictionaryPageOffset() > 0 {
		info.HasDict = true
		info.DictBytes = col.DataPageOffset() - start
		info.AllDict = allDictionary(col)
	}
	f.fillStatistics(&info, i, j)
	return info, nil
}

// checkRange checks that the chunk lies between the magic and the footer, and returns its start.
func (f *File) checkRange(col *metadata.ColumnChunkMetaData) (int64, error) {
	data, size := col.DataPageOffset(), col.TotalCompressedSize()
	start := data
	// An offset of 0 means that there is no dictionary: old writers set the field nevertheless.
	if col.HasDictionaryPage() && col.DictionaryPageOffset() != 0 {
		start = col.DictionaryPageOffset()
		if start >= data {
			return 0, fmt.Errorf("its dictionary page at %d does not lie before its data pages at %d", start, data)
		}
	}
	end, carry := bits.Add64(uint64(start), uint64(size), 0)
	switch {
	case start < int64(len(magic)) || carry != 0 || end > uint64(f.dataEnd):
		return 0, fmt.Errorf("its %d bytes at offset %d do not lie between the beginning of the file and its footer at %d; the file is truncated or corrupt",
			size, start, f.dataEnd)
	case uint64(data) >= end:
		return 0, fmt.Errorf("its data pages at %d do not lie in its %d bytes at %d", data, size, start)
	}
	return start, nil
}

// fillStatistics takes over the statistics that are defined for the type's order. The fields that
// they replaced were written with undefined order and are not looked at.
func (f *File) fillStatistics(info *LeafInfo, i, j int) {
	st := f.md.RowGroups[i].Columns[j].MetaData.Statistics
	if st == nil {
		return
	}
	info.Min, info.Max = st.MinValue, st.MaxValue
	info.MinExact = st.IsMinValueExact != nil && *st.IsMinValueExact
	info.MaxExact = st.IsMaxValueExact != nil && *st.IsMaxValueExact
	if st.NullCount != nil && *st.NullCount >= 0 && *st.NullCount <= info.NumValues {
		info.NullCount = *st.NullCount
	}
}

// allDictionary reports whether the footer says that every data page of the chunk is
// dictionary-coded. Without page statistics only the old name of the encoding tells: newer writers
// list PLAIN for the dictionary page itself.
func allDictionary(col *metadata.ColumnChunkMetaData) bool {
	stats := col.EncodingStats()
	if len(stats) > 0 {
		pages := 0
		for _, s := range stats {
			if s.PageType != pageData && s.PageType != pageDataV2 {
				continue
			}
			if s.Encoding != parquet.Encodings.RLEDict && s.Encoding != parquet.Encodings.PlainDict {
				return false
			}
			pages++
		}
		return pages > 0
	}
	old := false
	for _, e := range col.Encodings() {
		switch e {
		case parquet.Encodings.PlainDict:
			old = true
		case parquet.Encodings.RLE, parquet.Encodings.BitPacked:
		default:
			return false
		}
	}
	return old
}

func supportedCodec(c compress.Compression) bool {
	switch c {
	case compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip,
		compress.Codecs.Brotli, compress.Codecs.Zstd, compress.Codecs.Lz4Raw:
		return true
	}
	return false
}

// codecName is the name of a codec, also of a number that parquet.thrift does not know.
func codecName(c compress.Compression) string {
	switch c {
	case compress.Codecs.Lzo:
		return "LZO"
	case compress.Codecs.Lz4:
		return "LZ4 (Hadoop framing)"
	}
	return fmt.Sprintf("number %d", int(c))
}
