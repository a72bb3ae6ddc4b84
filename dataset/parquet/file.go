package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// File is an open Parquet file whose footer was read and checked. Its methods may be called from
// several goroutines; Close only when all LeafReaders are closed.
type File struct {
	name    string
	file    vfs.File
	size    int64
	modTime int64
	dataEnd int64 // where the footer begins: no column chunk reaches beyond
	md      *metadata.FileMetaData
	groups  []RowGroup
	alloc   memory.Allocator // of arrow-go's page buffers; a leak test counts them
}

// RowGroup is what the footer says of one row group.
type RowGroup struct {
	Rows   int64
	Bytes  int64 // compressed bytes of all column chunks
	Leaves []LeafInfo
}

// LeafInfo is what the footer says of one column chunk.
type LeafInfo struct {
	Compressed   int64 // bytes in the file, page headers included
	Uncompressed int64 // bytes after decompression, page headers included, as the writer says
	NumValues    int64 // level entries: nulls and empty lists included
	Codec        compress.Compression
	HasDict      bool
	DictBytes    int64 // bytes of the dictionary page in the file, header included
	// AllDict: every data page is dictionary-coded as far as the footer tells. False when it does
	// not tell.
	AllDict bool
	// Min and Max are PLAIN bytes (byte arrays without length) in the type's defined order; nil when
	// the writer gave none. A bound that is not exact is still a bound. They belong to the File.
	Min, Max           []byte
	MinExact, MaxExact bool  // the writer says that the bound is a value of the chunk
	NullCount          int64 // -1 when the writer gave none
}

// Open opens a file, reads its footer and checks everything in it that a reader would trust. The
// error is a *model.Failure that begins with the file's path: of ReasonInput when the file is not
// readable Parquet, of ReasonIO when the file system failed.
func Open(fsys vfs.FS, path string) (*File, error) {
	f, err := open(fsys, path)
	if err != nil {
		return nil, inputFailure(path, err)
	}
	return f, nil
}

func open(fsys vfs.FS, path string) (_ *File, err error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, &readError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	st, err := file.Stat()
	if err != nil {
		return nil, &readError{err}
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%w: it is a directory", errNotParquet)
	}
	f := &File{alloc: pooled{}, name: path, file: file, size: st.Size(), modTime: st.ModTime().UnixNano()}
	footer, err := f.readFooter()
	if err != nil {
		return nil, err
	}
	if f.md, err = parseFooter(footer); err != nil {
		return nil, err
	}
	f.md.SetSourceFileSize(f.size)
	if err := f.checkFooter(); err != nil {
		return nil, err
	}
	return f, nil
}

// readFooter checks both ends of the file and returns the bytes of the footer.
func (f *File) readFooter() ([]byte, error) {
	const smallest = int64(2*len(magic) + 4)
	if f.size < smallest {
		return nil, fmt.Errorf("%w: a file of %d bytes is too small", errNotParquet, f.size)
	}
	// One read gets the whole footer of an ordinary file.
	tail := make([]byte, min(f.size, 64<<10))
	if err := f.readAt(tail, f.size-int64(len(tail))); err != nil {
		return nil, err
	}
	n, err := footerLength(tail[len(tail)-tailBytes:], f.size)
	if err != nil {
		return nil, err
	}
	var head [len(magic)]byte
	if err := f.readAt(head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %s", errNotParquet, magic)
	}
	f.dataEnd = f.size - tailBytes - n
	if n <= int64(len(tail)-tailBytes) {
		return tail[int64(len(tail)-tailBytes)-n : len(tail)-tailBytes], nil
	}
	footer := make([]byte, n)
	return footer, f.readAt(footer, f.dataEnd)
}

// readAt fills p. The file was as long as that when it was opened, so an early end means that
// somebody cut it since.
func (f *File) readAt(p []byte, off int64) error {
	n, err := f.file.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it was cut while it was read", errTruncated)
	}
	return &readError{err}
}

// Close closes the file.
func (f *File) Close() error {
	if err := f.file.Close(); err != nil {
		return inputFailure(f.name, &readError{err})
	}
	return nil
}

// Name is the path the file was opened by.
func (f *File) Name() string { return f.name }

// Size is the file's size in bytes when it was opened.
func (f *File) Size() int64 { return f.size }

// ModTime is the file's modification time in Unix nanoseconds when it was opened.
func (f *File) ModTime() int64 { return f.modTime }

// Schema is the file's schema. It is shared: nobody may change it or build other nodes from its nodes.
func (f *File) Schema() *schema.Schema { return f.md.Schema }

// KeyValue is the file's key-value metadata.
func (f *File) KeyValue() metadata.KeyValueMetadata { return f.md.KeyValueMetadata() }

// NumRows is the number of rows in all row groups.
func (f *File) NumRows() int64 {
	n := int64(0)
	for i := range f.groups {
		n += f.groups[i].Rows
	}
	return n
}

// NumRowGroups is the number of row groups.
func (f *File) NumRowGroups() int { return len(f.groups) }

// RowGroup returns what the footer says of row group i.
func (f *File) RowGroup(i int) RowGroup { return f.groups[i] }

// where names a place in the file for an error; a leaf below 0 means the row group as a whole.
func (f *File) where(rg, leaf int) string {
	if leaf < 0 {
		return fmt.Sprintf("%s: row group %d", f.name, rg)
	}
	return fmt.Sprintf("%s: row group %d, column %s", f.name, rg, f.md.Schema.Column(leaf).Path())
}
