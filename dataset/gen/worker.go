package gen

import (
	"context"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
)

// Sizes inside a file, in rows.
const (
	// pageRows must be a multiple of 8: pages divide bitmaps between bytes. The widest page, the
	// payload's, has 0.75 MB with it, which stays in the second-level cache until it is compressed.
	pageRows = 4096
	// groupRows is a row group as DuckDB's and Arrow's defaults have it, give or take.
	groupRows = 32 * pageRows
)

// fileSpec says which file to make.
type fileSpec struct {
	index int
	rows  int64
}

// worker makes files, one after another, in buffers that it keeps. One goroutine uses it.
type worker struct {
	*fileWriter
	vocabulary *vocabulary
	seed       uint64

	rnd      random
	file     fileSpec
	firstRow int64 // of the row group, in the file
	rows     int   // of the row group
	column   int   // the place of the one being made

	// Columns that later ones are derived from, per row of the row group.
	devices []uint32
	times   []int64

	page    []byte     // the page under construction
	valid   []byte     // bit per row of the row group, in a column with nulls
	picked  []uint32   // places in the vocabulary, per value of the row group
	codes   []uint32   // the same in the dictionary of the chunk
	seen    [][]uint64 // per column and place in the vocabulary: chunk<<32 | code
	chunks  uint64     // number of dictionaries made so far, below 2^32; 0 is none
	repeats []uint32   // repetition levels of tags
	defines []uint32   // definition levels of tags
	cuts    []listCut  // where pages of tags end
}

func newWorker(fw *fileWriter, v *vocabulary, seed uint64, maxRows int64) *worker {
	rows := int(min(maxRows, groupRows))
	return &worker{
		fileWriter: fw, vocabulary: v, seed: seed,
		devices: make([]uint32, rows),
		times:   make([]int64, rows),
		codes:   make([]uint32, rows),
		page:    make([]byte, 0, min(rows, pageRows)*(maxValueBytes+1)+2*fragmentSlack),
		valid:   make([]byte, (rows+7)/8),
		seen:    make([][]uint64, len(columns)),
	}
}

// write makes one whole file and returns its size.
func (w *worker) write(ctx context.Context, f io.Writer, spec fileSpec) (int64, error) {
	w.file = spec
	w.begin(f)
	for group := 0; int64(group)*groupRows < spec.rows; group++ {
		w.firstRow = int64(group) * groupRows
		w.rows = int(min(groupRows, spec.rows-w.firstRow))
		w.beginGroup(w.rows)
		for i := range columns {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			c := &columns[i]
			w.column = i
			w.rnd.seed(w.seed, spec.index, group, i)
			w.beginChunk(c.typ)
			c.write(w, c)
			if err := w.endChunk(); err != nil {
				return 0, err
			}
		}
		if err := w.endGroup(); err != nil {
			return 0, err
		}
	}
	return w.end()
}

// drawNulls decides which rows of the row group are null, and returns how many are not.
func (w *worker) drawNulls(c *column) int {
	if c.nullsIn256 == 0 {
		return w.rows
	}
	present := w.rnd.flags(w.valid[:(w.rows+7)/8], w.rows, c.nullsIn256)
	w.chunk.nulls = int64(w.rows - present)
	return present
}

// span is the page that begins at row from, of a column whose nulls were drawn.
func (w *worker) span(c *column, from int) span {
	p := span{from: from, to: min(from+pageRows, w.rows)}
	p.present = p.to - p.from
	if c.nullsIn256 > 0 {
		p.valid = w.valid[p.from/8 : (p.to+7)/8]
		p.present = ones(p.valid)
	}
	return p
}

// writePlain makes a chunk of pages in PLAIN encoding, each filled right where it is compressed from.
func (w *worker) writePlain(c *column) {
	w.drawNulls(c)
	for from := 0; from < w.rows; from += pageRows {
		p := w.span(c, from)
		b := w.page[:0]
		if p.valid != nil {
			b = appendValidity(b, p.valid)
		}
		levels := len(b)
		b = c.fill(w, b, p)
		w.chunk.extremes.add(c.typ, b[levels:], p.present)
		w.addPage(dataPage, parquet.Encodings.Plain, b, p.to-p.from)
	}
}

// writeDictionary makes a chunk with a dictionary. The values are drawn as places in the vocabulary,
// so that finding those that the chunk uses takes no hashing.
func (w *worker) writeDictionary(c *column) {
	texts := c.texts(w.vocabulary)
	w.draw(texts.sampler, w.drawNulls(c))
	if w.column == deviceColumn {
		copy(w.devices, w.picked)
	}
	width := w.addDictionary(&texts.dictionary)
	codes := w.codes
	for from := 0; from < w.rows; from += pageRows {
		p := w.span(c, from)
		b := w.page[:0]
		if p.valid != nil {
			b = appendValidity(b, p.valid)
		}
		b = appendPacked(append(b, byte(width)), codes[:p.present], width)
		codes = codes[p.present:]
		w.addPage(dataPage, parquet.Encodings.RLEDict, b, p.to-p.from)
	}
}

// draw fills w.picked with n places in a vocabulary.
func (w *worker) draw(s sampler, n int) {
	w.picked = grow(w.picked[:0], n)
	for i := range w.picked {
		w.picked[i] = s.pick(w.rnd.uint64())
	}
}
