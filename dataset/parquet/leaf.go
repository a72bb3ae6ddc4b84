package parquet

import (
	"errors"
	"fmt"
	"io"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// LeafReader reads one column chunk. It is owned by one goroutine.
type LeafReader struct {
	file     *File
	rg, leaf int
	col      *schema.Column
	src      *chunkSource
	cr       file.ColumnChunkReader // nil when the chunk is empty
	closed   bool

	rowsLeft   int64
	levelsLeft int64
	// carry holds levels and values that were read behind the last row of a batch; only repeated
	// leaves have any.
	carry *column.Vector
	err   error // sticks
}

// ReadLeaf opens column chunk leaf of row group rg. The caller closes the reader. Leaf readers of
// one file may be used at the same time by different goroutines.
func (f *File) ReadLeaf(rg, leaf int) (_ *LeafReader, err error) {
	if rg < 0 || rg >= len(f.groups) || leaf < 0 || leaf >= f.md.Schema.NumColumns() {
		return nil, inputFailure(f.name, fmt.Errorf("there is no column %d in row group %d", leaf, rg))
	}
	info := &f.groups[rg].Leaves[leaf]
	r := &LeafReader{file: f, rg: rg, leaf: leaf, col: f.md.Schema.Column(leaf),
		rowsLeft: f.groups[rg].Rows, levelsLeft: info.NumValues}
	if r.col.MaxRepetitionLevel() > 0 {
		r.carry = column.New(r.col)
	}
	if info.NumValues == 0 {
		return r, nil
	}
	if err := r.open(); err != nil {
		return nil, inputFailure(f.where(rg, leaf), errors.Join(err, r.close()))
	}
	return r, nil
}

// open makes arrow-go's reader over a source of its own: readers share nothing but the metadata.
func (r *LeafReader) open() (err error) {
	defer recoverInto(&err, "opening the column")
	if r.src, err = newChunkSource(r.file, r.rg, r.leaf); err != nil {
		return err
	}
	props := arrowparquet.NewReaderProperties(r.file.alloc)
	props.BufferedStreamEnabled = true // the source buffers; arrow-go must not read the chunk at once
	props.BufferSize = 16 << 10        // what it looks ahead for a page header
	props.MaxCompressedPageSize = max(r.src.end-r.src.start, 1)
	props.MaxUncompressedPageSize = r.src.limits.uncompressed
	fr, err := file.NewParquetReader(r.src, file.WithMetadata(r.file.md), file.WithReadProps(props))
	if err != nil {
		return err
	}
	r.cr, err = fr.RowGroup(r.rg).Column(r.leaf)
	return err
}

// Close gives the reader's buffers back. It may be called twice.
func (r *LeafReader) Close() error {
	return inputFailure(r.file.where(r.rg, r.leaf), r.close())
}

func (r *LeafReader) close() (err error) {
	if r.closed {
		return nil
	}
	r.closed = true
	defer recoverInto(&err, "closing the column")
	if r.cr != nil {
		err = r.cr.Close()
		r.cr = nil
	}
	if r.src != nil {
		r.src.release()
	}
	return err
}

// Next fills v with the next min(maxRows, rows left) rows; io.EOF means that there are none left, and
// no other error has it in its chain.
// v is reset first, and checked and indexed afterwards; it must be a vector for a leaf of the same
// type and levels. An error leaves v in no useful state and is returned again by later calls.
func (r *LeafReader) Next(v *column.Vector, maxRows int) error {
	if r.err != nil {
		return r.err
	}
	if r.rowsLeft == 0 {
		r.err = io.EOF
		return io.EOF
	}
	if err := r.next(v, maxRows); err != nil {
		if r.src != nil && r.src.err != nil {
			err = r.src.err // the cause; arrow-go may have changed or lost it
		}
		r.err = inputFailure(r.file.where(r.rg, r.leaf), err)
		return r.err
	}
	return nil
}

func (r *LeafReader) next(v *column.Vector, maxRows int) (err error) {
	defer recoverInto(&err, "decoding the column")
	if r.closed || maxRows <= 0 || v.Values.Width != column.Width(r.col) ||
		v.Leaf.MaxDefinitionLevel() != r.col.MaxDefinitionLevel() ||
		v.Leaf.MaxRepetitionLevel() != r.col.MaxRepetitionLevel() {
		return fmt.Errorf("mistaken call: %d rows wanted into a vector for %s", maxRows, v.Leaf.Path())
	}
	v.Reset()
	n := int(min(int64(maxRows), r.rowsLeft))
	if r.col.MaxRepetitionLevel() > 0 {
		err = r.nextRepeated(v, n)
	} else {
		err = r.nextFlat(v, n)
	}
	if err != nil {
		return err
	}
	r.rowsLeft -= int64(n)
	v.Rows = n
	if err := v.Check(); err != nil {
		return fmt.Errorf("its levels and values do not fit together: %w", err)
	}
	v.Index()
	return nil
}

// nextFlat reads n levels, which are n rows.
func (r *LeafReader) nextFlat(v *column.Vector, n int) error {
	if r.cr == nil {
		return fmt.Errorf("it has no values where its row group has %d rows", r.rowsLeft)
	}
	for got := 0; got < n; {
		levels, err := r.read(v, n-got)
		if err != nil {
			return err
		}
		got += levels
	}
	return nil
}

// nextRepeated reads n whole rows. A row ends where the next begins, so it reads beyond and keeps
// the rest for the next call.
func (r *LeafReader) nextRepeated(v *column.Vector, n int) error {
	appendTail(v, r.carry, 0, 0)
	r.carry.Reset()
	begun, at := 0, 0 // rows that began before level at
	for {
		for ; at < len(v.Rep); at++ {
			if v.Rep[at] != 0 {
				continue
			}
			if begun == n && int64(n) == r.rowsLeft {
				return fmt.Errorf("it holds more rows than its row group, which has %d", r.file.groups[r.rg].Rows)
			}
			if begun == n {
				return r.cut(v, at)
			}
			begun++
		}
		if r.levelsLeft == 0 {
			break
		}
		if _, err := r.read(v, max(n-begun, 64)); err != nil {
			return err
		}
	}
	if begun != n {
		rows := r.file.groups[r.rg].Rows
		return fmt.Errorf("it holds %d rows but its row group %d", rows-r.rowsLeft+int64(begun), rows)
	}
	return nil
}

// cut moves everything from level at on into the carry.
func (r *LeafReader) cut(v *column.Vector, at int) error {
	maxDef := r.col.MaxDefinitionLevel()
	values := 0
	for _, d := range v.Def[:at] {
		if d == maxDef {
			values++
		}
	}
	if values > v.Values.Len() {
		return errors.New("it has fewer values than its levels say")
	}
	appendTail(r.carry, v, at, values)
	v.Def, v.Rep = v.Def[:at], v.Rep[:at]
	if w := v.Values.Width; w > 0 {
		v.Values.Data = v.Values.Data[:values*w]
	} else if len(v.Values.Offsets) > 0 {
		v.Values.Data = v.Values.Data[:v.Values.Offsets[values]]
		v.Values.Offsets = v.Values.Offsets[:values+1]
	}
	return nil
}

// appendTail appends the levels of src from level on, and its values from value on, to dst.
func appendTail(dst, src *column.Vector, level, value int) {
	dst.Def = append(dst.Def, src.Def[level:]...)
	dst.Rep = append(dst.Rep, src.Rep[level:]...)
	if w := src.Values.Width; w > 0 {
		dst.Values.Data = append(dst.Values.Data, src.Values.Data[value*w:]...)
		return
	}
	if value >= src.Values.Len() {
		return
	}
	from := src.Values.Offsets[value]
	if len(dst.Values.Offsets) == 0 {
		dst.Values.Offsets = append(dst.Values.Offsets, 0)
	}
	shift := uint32(len(dst.Values.Data)) - from
	for _, o := range src.Values.Offsets[value+1:] {
		dst.Values.Offsets = append(dst.Values.Offsets, o+shift)
	}
	dst.Values.Data = append(dst.Values.Data, src.Values.Data[from:]...)
}
