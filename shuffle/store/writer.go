package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// writeBuffer is the size of sequential writes. Below 256 KiB the page cache costs twice as much
// per byte; above 1 MiB nothing is gained.
const writeBuffer = 512 << 10

// Writer writes one segment of a map attempt. It is owned by one goroutine. After an error of any
// method only Abort may be called.
type Writer struct {
	fs          vfs.FS
	data, index string // final names
	file        vfs.File
	buf         []byte
	offset      int64
	paths       int // bytes of all paths
	entries     []Entry
	sealed      bool
}

// NewWriter begins segment number seal of a map attempt in dir, which is made if it is missing. What
// an earlier process of the same attempt left under the names of unfinished files is overwritten.
func NewWriter(fsys vfs.FS, dir string, attempt model.AttemptID, seal int) (*Writer, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("making the scratch directory: %w", err)
	}
	base := filepath.Join(dir, attempt.String()+"."+strconv.Itoa(seal))
	w := &Writer{fs: fsys, data: base + ".data", index: base + ".index"}
	var err error
	if w.file, err = fsys.Create(w.data + tmp); err != nil {
		return nil, fmt.Errorf("creating a map output: %w", err)
	}
	return w, nil
}

// tmp ends the names of files that are not complete.
const tmp = ".tmp"

// Append adds one piece, whose bytes may be reused afterwards. Keys ascend; the pieces of a key come
// one after another, in their order.
func (w *Writer) Append(key model.PartitionKey, piece []byte, rows int64) error {
	e := Entry{Key: key, Offset: w.offset, Length: int64(len(piece)), Rows: rows}
	if len(piece) == 0 || len(piece) > maxPiece || rows < 1 || rows > maxPiece || len(key.Path) > MaxPathBytes {
		return fmt.Errorf("partition %s: a piece of %d bytes and %d rows cannot be stored", key, len(piece), rows)
	}
	if n := len(w.entries); n > 0 {
		last := &w.entries[n-1]
		switch order := last.Key.Compare(key); {
		case order > 0:
			return fmt.Errorf("partition %s is appended after %s", key, last.Key)
		case order == 0:
			e.Seq = last.Seq + 1
		}
	}
	if e.Seq == 0 {
		if w.paths += len(key.Path); w.paths > MaxIndexBytes {
			return fmt.Errorf("partition %s: the paths of a map output take more than %d bytes: use fewer partitions in a task", key, MaxIndexBytes)
		}
	}
	e.CRC = Checksum(piece)
	if err := w.write(piece); err != nil {
		return err
	}
	w.offset += e.Length
	w.entries = append(w.entries, e)
	return nil
}

// write buffers small pieces and passes large ones through.
func (w *Writer) write(b []byte) error {
	if w.buf == nil {
		w.buf = make([]byte, 0, writeBuffer)
	}
	if len(w.buf)+len(b) > cap(w.buf) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) < cap(w.buf) {
		w.buf = append(w.buf, b...)
		return nil
	}
	if _, err := w.file.Write(b); err != nil {
		return fmt.Errorf("writing a map output: %w", err)
	}
	return nil
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.file.Write(w.buf); err != nil {
		return fmt.Errorf("writing a map output: %w", err)
	}
	w.buf = w.buf[:0]
	return nil
}

// Entries are the pieces appended so far. The caller must not change them.
func (w *Writer) Entries() []Entry { return w.entries }

// Bytes is the length of the data file so far.
func (w *Writer) Bytes() int64 { return w.offset }

// Seal completes the data file, writes the index and makes both visible. It calls no Sync: see the
// package comment.
func (w *Writer) Seal() (model.Segment, error) {
	if w.file == nil {
		return model.Segment{}, errors.New("sealing a map output that was sealed or aborted")
	}
	if err := w.flush(); err != nil {
		return model.Segment{}, err
	}
	w.buf = nil
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return model.Segment{}, fmt.Errorf("closing a map output: %w", err)
	}
	index, crc := encodeIndex(w.entries)
	if len(index) > MaxIndexBytes {
		return model.Segment{}, fmt.Errorf("the index of a map output takes %d bytes, more than %d: use larger pieces or fewer partitions", len(index), MaxIndexBytes)
	}
	if err := w.writeIndex(index); err != nil {
		return model.Segment{}, fmt.Errorf("writing the index of a map output: %w", err)
	}
	if err := w.fs.Rename(w.data+tmp, w.data); err != nil {
		return model.Segment{}, fmt.Errorf("completing a map output: %w", err)
	}
	if err := w.fs.Rename(w.index+tmp, w.index); err != nil { // the atomic step
		return model.Segment{}, fmt.Errorf("completing the index of a map output: %w", err)
	}
	w.sealed = true
	return model.Segment{
		DataPath: w.data, IndexPath: w.index, DataBytes: w.offset,
		IndexBytes: int64(len(index)), IndexCRC: crc,
	}, nil
}

func (w *Writer) writeIndex(index []byte) error {
	f, err := w.fs.Create(w.index + tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(index)
	return errors.Join(err, f.Close())
}

// Abort removes what an unsealed writer left on disk. It can be called at any time, and again when
// it failed; after a Seal that succeeded it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	if w.sealed {
		return nil
	}
	var errs []error
	if w.file != nil {
		errs = append(errs, w.file.Close())
		w.file = nil
	}
	// The index goes before the data that it names.
	for _, name := range []string{w.index, w.index + tmp, w.data, w.data + tmp} {
		errs = append(errs, remove(w.fs, name))
	}
	return errors.Join(errs...)
}

// Remove deletes a sealed segment, the index first. Files that are already gone are no error.
func Remove(fsys vfs.FS, seg model.Segment) error {
	return errors.Join(remove(fsys, seg.IndexPath), remove(fsys, seg.DataPath))
}

func remove(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a map output: %w", err)
	}
	return nil
}
