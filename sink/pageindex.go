package sink

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/sluice-engine/sluice/shuffle/block"
)

// pageIndex collects the page index of an open file, as PageIndex.md of the Parquet format describes
// it: for every column chunk the OffsetIndex, which says where its pages lie, and the ColumnIndex,
// which says what they hold. It lies between the last row group and the footer.
//
// A chunk's indexes are serialised as soon as it is written, so nothing here refers to the pieces
// that its pages came from. They are kept until the end of the file: some 20 bytes for a page, and
// its two bounds of at most block.MaxStatBytes each, less than a thousandth of a full page.
type pageIndex struct {
	columns, offsets indexSection
}

// indexSection is all indexes of one kind, in the order of row groups and columns.
type indexSection struct {
	data bytes.Buffer
	end  int // of the last index in data
	// at are the offsets in the footer, one of each index. They count from the start of the section
	// until it is written.
	at []*int64
}

// add makes the indexes of a chunk whose first page, a dictionary or not, lies at pos of the file,
// and announces them in the chunk's metadata.
//
// A ColumnIndex needs bounds of every page that holds a value. Where one has none (INT96 and
// INTERVAL, only NaN, a minimum or maximum longer than block.MaxStatBytes) the chunk has only an
// OffsetIndex. The format would allow bounds cut short, but pages do not keep what they would be
// cut from.
func (x *pageIndex) add(meta *metadata.ColumnChunkMetaDataBuilder, c *block.Chunk, pos int64) error {
	columns, offsets := metadata.NewColumnIndexBuilder(meta.Descr()), new(metadata.OffsetIndexBuilder)
	row := int64(0)
	for i := range c.Pages {
		p := &c.Pages[i]
		if !p.Dictionary {
			err := errors.Join(columns.AddPage(pageStatistics(p)), offsets.AddPage(pos, row, int32(len(p.Bytes))))
			if err != nil {
				return err
			}
			row += int64(p.Rows)
		}
		pos += int64(len(p.Bytes))
	}
	if err := errors.Join(columns.Finish(), offsets.Finish(0)); err != nil {
		return err
	}
	if _, err := columns.WriteTo(&x.columns.data, nil); err != nil {
		return err
	}
	if _, err := offsets.WriteTo(&x.offsets.data, nil); err != nil {
		return err
	}
	chunk := meta.Contents()
	var err1, err2 error
	chunk.ColumnIndexOffset, chunk.ColumnIndexLength, err1 = x.columns.added()
	chunk.OffsetIndexOffset, chunk.OffsetIndexLength, err2 = x.offsets.added()
	return errors.Join(err1, err2)
}

// pageStatistics is what the ColumnIndex takes from a page. The bounds are shared with it.
func pageStatistics(p *block.Page) *metadata.EncodedStatistics {
	s := &metadata.EncodedStatistics{
		HasNullCount: true, NullCount: int64(p.Nulls), AllNullValue: p.Nulls == p.Levels,
	}
	if p.Min != nil && p.Max != nil {
		s.SetMin(p.Min).SetMax(p.Max)
	}
	return s
}

// added returns what the footer says of the index that was just serialised: nil if it has no bytes,
// because its builder has given it up.
func (s *indexSection) added() (offset *int64, length *int32, err error) {
	at, end := int64(s.end), s.data.Len()
	n := end - s.end
	switch {
	case n == 0:
		return nil, nil, nil
	case n > math.MaxInt32:
		return nil, nil, fmt.Errorf("a page index of %d bytes is longer than the format allows: make row groups smaller", n)
	}
	size := int32(n)
	s.at, s.end = append(s.at, &at), end
	return &at, &size, nil
}

// writePageIndex writes the indexes of all chunks and makes their offsets in the footer count from
// the start of the file. Readers fetch the indexes of a kind together, so each kind is in one place.
func (o *outFile) writePageIndex() error {
	for _, s := range []*indexSection{&o.index.columns, &o.index.offsets} {
		for _, at := range s.at {
			*at += o.pos
		}
		if err := o.write(s.data.Bytes()); err != nil {
			return err
		}
	}
	o.index = pageIndex{}
	return nil
}
