// Package parquet reads Parquet files leaf by leaf into column vectors, and compares, projects and
// lists what it reads.
//
// Files come from strangers. arrow-go does the decoding, but it trusts lengths: a footer or a page
// header with one bad number makes it ask for more memory than there is, and that ends the process
// past any recover. So every number that arrow-go would allocate by is checked here first: the
// footer's Thrift structure before it is parsed, every column chunk's range when the file is
// opened, every page header before arrow-go sees the page. What is left are ordinary errors and
// panics; the panics are recovered. All errors are *model.Failure and name the file and, where
// there is one, the row group and the column.
//
// Page checksums are verified where the writer stored them.
package parquet
