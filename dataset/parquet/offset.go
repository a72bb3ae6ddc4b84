package parquet

// RowGroupStart is the offset of the first page of a row group: of its first column chunk's data
// pages, or of its dictionary page when that is set and comes before (parquet-java's rule for which
// split owns the row group).
func (f *File) RowGroupStart(i int) int64 {
	c := f.md.RowGroups[i].Columns[0].MetaData
	start := c.DataPageOffset
	if d := c.DictionaryPageOffset; d != nil && *d > 0 && *d < start {
		start = *d
	}
	return start
}
