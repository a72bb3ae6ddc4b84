package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// windowBytes is how much of a column chunk is read with one call and held in memory. A chunk up to
// this size takes one read.
const windowBytes = 8 << 20

// footerPadding is what column chunks of parquet-mr before 1.2.9 may reach beyond the length that
// their footer gives (PARQUET-816): the header of the dictionary page.
const footerPadding = 100

// chunkSource feeds arrow-go the bytes of one column chunk, window by window, each page only after
// it was checked. What lies behind the chunk's last page is the end of the stream.
type chunkSource struct {
	file   *File
	limits pageLimits
	start  int64 // of the chunk in the file
	end    int64
	values int64 // level entries that the pages must hold together

	buf   []byte // window; pooled
	base  int64  // file offset of buf[0]
	valid int    // buf[:valid] are whole pages that were checked
	read  int    // buf[:read] was read from the file
	seen  int64  // level entries in the pages checked so far
	pages int
	empty int // data pages without values among them
	// err is the first error. arrow-go does not hand on every error as it is, so readers ask here.
	err error
}

func newChunkSource(f *File, rg, leaf int) (*chunkSource, error) {
	col, err := f.md.RowGroup(rg).ColumnChunk(leaf)
	if err != nil {
		return nil, err
	}
	info := &f.groups[rg].Leaves[leaf]
	start, err := f.checkRange(col)
	if err != nil {
		return nil, err
	}
	end := start + info.Compressed
	if f.md.WriterVersion().LessThan(metadata.Parquet816FixedVersion) {
		end = min(end+footerPadding, f.dataEnd)
	}
	s := &chunkSource{file: f, start: start, end: end, values: info.NumValues}
	s.limits = pageLimits{
		leaf:  f.md.Schema.Column(leaf),
		codec: info.Codec,
		// Some writers give a wrong uncompressed size, so a page may also be as large as its
		// compressed bytes explain; highly repetitive chunks are small enough not to matter.
		uncompressed: min(maxPageBytes, max(info.Uncompressed, 64*info.Compressed)+(1<<20)),
	}
	s.rewind()
	s.buf = getBuffer(int(min(end-start, windowBytes)))
	return s, nil
}

func (s *chunkSource) rewind() {
	s.base, s.valid, s.read, s.seen, s.pages, s.empty = s.start, 0, 0, 0, 0, 0
}

func (s *chunkSource) release() {
	putBuffer(s.buf)
	s.buf = nil
}

// ReadAt implements io.ReaderAt over file offsets. arrow-go reads forward; going back is possible
// and reads the chunk again.
func (s *chunkSource) ReadAt(p []byte, off int64) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if off < s.base {
		s.rewind()
	}
	n := 0
	for n < len(p) {
		at := off + int64(n) - s.base
		if at < int64(s.valid) {
			n += copy(p[n:], s.buf[at:s.valid])
			continue
		}
		if s.seen >= s.values {
			return n, io.EOF
		}
		if err := s.advance(); err != nil {
			s.err = err
			return n, err
		}
	}
	return n, nil
}

// Seek is part of arrow-go's interface for sources; it uses it only to find a footer.
func (s *chunkSource) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }

// advance moves the window behind the pages that were checked, fills it and checks the pages in it.
// There must be values left.
func (s *chunkSource) advance() error {
	s.read = copy(s.buf, s.buf[s.valid:s.read])
	s.base += int64(s.valid)
	s.valid = 0
	if err := s.fill(min(int64(cap(s.buf)), windowBytes)); err != nil {
		return err
	}
	for s.seen < s.values {
		need, err := s.checkPage()
		if err != nil {
			return err
		}
		if need == 0 {
			continue
		}
		if s.valid > 0 {
			return nil
		}
		if err := s.fill(need); err != nil { // one page is larger than the window
			return err
		}
	}
	return nil
}

// fill reads on until the window holds want bytes or the rest of the chunk.
func (s *chunkSource) fill(want int64) error {
	want = min(want, s.end-s.base)
	if want <= int64(s.read) {
		return fmt.Errorf("its pages end after %d of %d values; the file is truncated or corrupt", s.seen, s.values)
	}
	if int(want) > cap(s.buf) {
		bigger := getBuffer(int(want))
		copy(bigger, s.buf[:s.read])
		putBuffer(s.buf)
		s.buf = bigger
	}
	s.buf = s.buf[:cap(s.buf)]
	if err := s.file.readAt(s.buf[s.read:want], s.base+int64(s.read)); err != nil {
		return err
	}
	s.read = int(want)
	return nil
}

// checkPage checks the next page in the window. If the window does not hold all of it, need is how
// many bytes the window must have to go on.
func (s *chunkSource) checkPage() (need int64, err error) {
	window := s.buf[s.valid:s.read]
	h, err := readPageHeader(window[:min(len(window), maxPageHeader)])
	if err != nil {
		if errors.Is(err, errThriftShort) && len(window) < maxPageHeader && s.base+int64(s.read) < s.end {
			return int64(s.valid) + maxPageHeader, nil
		}
		return 0, fmt.Errorf("the header of page %d %w", s.pages, err)
	}
	pos := s.base + int64(s.valid)
	if err := s.limits.checkHeader(&h, s.end-pos-int64(h.length)); err != nil {
		return 0, fmt.Errorf("page %d: %w", s.pages, err)
	}
	whole := int64(h.length) + h.compressed
	if whole > int64(len(window)) {
		return int64(s.valid) + whole, nil
	}
	if err := s.limits.checkBody(&h, window[h.length:whole]); err != nil {
		return 0, fmt.Errorf("page %d: %w", s.pages, err)
	}
	if err := s.count(&h); err != nil {
		return 0, fmt.Errorf("page %d: %w", s.pages, err)
	}
	s.pages++
	s.valid += int(whole)
	return 0, nil
}

func (s *chunkSource) count(h *pageHeader) error {
	switch {
	case h.kind == int64(pageDictionary):
		if s.pages > 0 {
			return errors.New("a dictionary page is not the first page of its column chunk")
		}
		return nil
	case h.values > s.values-s.seen:
		return fmt.Errorf("it holds %d values where %d of %d are left", h.values, s.values-s.seen, s.values)
	case h.values == 0:
		s.empty++
	}
	s.seen += h.values
	return nil
}
