package write

import (
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/partition"
)

// input walks the row groups of a split in order. Files are opened when the first of their row
// groups is reached and closed by release when the last one was read.
type input struct {
	fs     vfs.FS
	schema *schema.Schema
	chunks []model.SplitChunk

	open  []*inputFile // of the current run, in order
	group *rowGroup    // being read; nil before the first and between two
	row   int64        // rows of group that were handed out
	// chunk and nextGroup say which row group comes after group.
	chunk     int
	nextGroup int
}

type inputFile struct {
	*parquet.File
	chunk *model.SplitChunk
	read  bool // rows of it were handed out in this or an earlier run
	used  bool // every row group was handed out
}

// rowGroup is one row group of the split.
type rowGroup struct {
	file  *inputFile
	index int // in the file
	rows  int64
	// bytes is the size in the file; rowBytes estimates what a row takes when it is decoded.
	bytes    int64
	rowBytes int64
}

// extent is a part of a row group.
type extent struct {
	group *rowGroup
	first int64
	rows  int
}

// current returns the row group that the next rows come from, opening its file if need be, or nil
// at the end of the split.
func (in *input) current() (*rowGroup, error) {
	for in.group == nil && in.chunk < len(in.chunks) {
		c := &in.chunks[in.chunk]
		if in.nextGroup == 0 {
			if err := in.openFile(c); err != nil {
				return nil, err
			}
		}
		if in.nextGroup < len(c.RowGroups) {
			g := in.open[len(in.open)-1].group(c.RowGroups[in.nextGroup])
			in.nextGroup++
			if g.rows > 0 {
				in.group, in.row = g, 0
				break
			}
		}
		if err := in.leaveFile(); err != nil {
			return nil, err
		}
	}
	return in.group, nil
}

// leaveFile goes on to the next file when the open one has no further row group. A file without rows
// is closed at once: a split may have any number of them.
func (in *input) leaveFile() error {
	if in.nextGroup < len(in.chunks[in.chunk].RowGroups) {
		return nil
	}
	f := in.endFile()
	if f.read {
		return nil
	}
	in.open = in.open[:len(in.open)-1]
	return f.Close()
}

// endFile marks the file that was opened last as used and moves on to the next.
func (in *input) endFile() *inputFile {
	f := in.open[len(in.open)-1]
	f.used = true
	in.chunk, in.nextGroup = in.chunk+1, 0
	return f
}

// take hands out the next rows of the current row group, at most maxRows.
func (in *input) take(maxRows int) extent {
	in.group.file.read = true
	e := extent{group: in.group, first: in.row, rows: int(min(int64(maxRows), in.group.rows-in.row))}
	if in.row += int64(e.rows); in.row == in.group.rows {
		in.group = nil
		if in.nextGroup == len(in.chunks[in.chunk].RowGroups) {
			in.endFile()
		}
	}
	return e
}

// opensFile reports whether the next call of current opens a file.
func (in *input) opensFile() bool { return in.group == nil && in.nextGroup == 0 }

func (in *input) atEnd() bool { return in.group == nil && in.chunk == len(in.chunks) }

// openFile opens the file of a chunk and makes sure that it is the one that was planned.
func (in *input) openFile(c *model.SplitChunk) error {
	f, err := parquet.Open(in.fs, c.Path)
	if err != nil {
		return err
	}
	in.open = append(in.open, &inputFile{File: f, chunk: c})
	if f.Size() != c.FileSize || f.ModTime() != c.ModTime {
		return model.Failf(model.ReasonInput,
			"%s changed while the job was running: size or modification time differ from the plan's; run the job again", c.Path)
	}
	if err := parquet.Compatible(in.schema, f.Schema()); err != nil {
		return model.Failf(model.ReasonInput, "%s: schema differs from the job's: %w", c.Path, err)
	}
	var rows int64
	for _, g := range c.RowGroups {
		if g < 0 || g >= f.NumRowGroups() {
			return model.Failf(model.ReasonInput, "%s: no row group %d, the file has %d", c.Path, g, f.NumRowGroups())
		}
		rows += f.RowGroup(g).Rows
	}
	if rows != c.Rows {
		return model.Failf(model.ReasonInput, "%s changed while the job was running: %d rows where the plan has %d",
			c.Path, rows, c.Rows)
	}
	return nil
}

func (f *inputFile) group(index int) *rowGroup {
	info := f.RowGroup(index)
	g := &rowGroup{file: f, index: index, rows: info.Rows, bytes: info.Bytes}
	for _, l := range info.Leaves {
		g.rowBytes += l.Uncompressed
	}
	g.rowBytes = g.rowBytes/max(g.rows, 1) + 1
	return g
}

// release closes the files of which every row was read. Readers of their row groups are closed.
func (in *input) release() error {
	var errs []error
	keep := in.open[:0]
	for _, f := range in.open {
		if !f.used {
			keep = append(keep, f)
			continue
		}
		errs = append(errs, f.Close())
	}
	in.open = keep
	return errors.Join(errs...)
}

// close closes every open file.
func (in *input) close() error {
	var errs []error
	for _, f := range in.open {
		errs = append(errs, f.Close())
	}
	in.open = nil
	return errors.Join(errs...)
}

// cursor reads one leaf, batch after batch. A row group that a run ends in stays open, so that the
// next run goes on where this one stopped.
type cursor struct {
	leaf  int // in the input schema
	vec   *column.Vector
	rd    *parquet.LeafReader
	group *rowGroup // that rd reads
}

func newCursor(in *schema.Schema, leaf int) *cursor {
	return &cursor{leaf: leaf, vec: column.New(in.Column(leaf))}
}

// read fills vec with the rows of the extent, which must follow the one before.
func (c *cursor) read(e extent) error {
	if c.group != e.group {
		if err := c.close(); err != nil {
			return err
		}
		rd, err := e.group.file.ReadLeaf(e.group.index, c.leaf)
		if err != nil {
			return err
		}
		c.rd, c.group = rd, e.group
	}
	err := c.rd.Next(c.vec, e.rows)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err != nil || c.vec.Rows != e.rows {
		return model.Failf(model.ReasonInput, "%s: row group %d, column %s: fewer rows than the %d of the footer",
			e.group.file.chunk.Path, e.group.index, c.vec.Leaf.Path(), e.group.rows)
	}
	if e.first+int64(e.rows) == e.group.rows {
		return c.close()
	}
	return nil
}

func (c *cursor) close() error {
	if c.rd == nil {
		return nil
	}
	err := c.rd.Close()
	c.rd, c.group = nil, nil
	return err
}

// source says where the rows of the extent come from, for the round-robin partitioner.
func (e extent) source() partition.Source {
	return partition.Source{RelPath: e.group.file.chunk.RelPath, RowGroup: e.group.index, FirstRow: e.first}
}
