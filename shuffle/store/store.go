// Package store keeps the pieces of a map output on disk: one data file with an index beside it.
package store

import (
	"errors"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// ErrCorrupt is in the chain of every error about a data file or index whose bytes are not what a
// Writer wrote.
var ErrCorrupt = errors.New("corrupt map output")

// Entry names one piece of a data file.
type Entry struct {
	Key    model.PartitionKey
	Seq    int   // of the piece in its partition, from 0
	Offset int64 // in the data file
	Length int64
	Rows   int64
	CRC    uint32 // Checksum of the piece
}

// Checksum is the checksum of a piece that its Entry holds.
func Checksum(piece []byte) uint32 { return 0 }

var errPartial = errors.New("not written yet")

// Writer writes the segment of one map attempt. It is owned by one goroutine.
type Writer struct{ entries []Entry }

// NewWriter begins segment number seal of a map attempt in dir, which is made if it is missing.
func NewWriter(fsys vfs.FS, dir string, attempt model.AttemptID, seal int) (*Writer, error) {
	return nil, errPartial
}

// Append adds one piece. Keys ascend; the pieces of a key come one after another.
func (w *Writer) Append(key model.PartitionKey, piece []byte, rows int64) error { return errPartial }

// Entries are the pieces appended so far. The caller must not change them.
func (w *Writer) Entries() []Entry { return w.entries }

// Seal completes the data file, writes the index and makes both visible in one step.
func (w *Writer) Seal() (model.Segment, error) { return model.Segment{}, errPartial }

// Abort removes what an unsealed writer left on disk. It can be called at any time and again; after
// a Seal that succeeded it does nothing.
func (w *Writer) Abort() error { return errPartial }

// Remove deletes a sealed segment, index first.
func Remove(fsys vfs.FS, seg model.Segment) error { return errPartial }

// Reader reads pieces of a sealed segment. It may be used concurrently.
type Reader struct{ entries []Entry }

// Open reads and checks the index of a segment.
func Open(fsys vfs.FS, seg model.Segment) (*Reader, error) { return nil, errPartial }

// Entries are all pieces in their order. The caller must not change them.
func (r *Reader) Entries() []Entry { return r.entries }

// Select returns the pieces of a range of partitions, in order.
func (r *Reader) Select(rg model.ReduceRange) []Entry { return nil }

// Read returns the bytes of a piece, in buf if it is large enough, after comparing its checksum.
func (r *Reader) Read(e Entry, buf []byte) ([]byte, error) { return nil, errPartial }

// Close closes the data file.
func (r *Reader) Close() error { return nil }

// Summarize adds up the entries of all segments of a map output: sizes per bucket, partitions that
// hold more than model.HotFraction of the bytes, and the number of different partitions.
func Summarize(segments ...[]Entry) (buckets []model.BucketSize, hot []model.ValueSize, values int64) {
	return nil, nil, 0
}
