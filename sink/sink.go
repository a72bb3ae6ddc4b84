// Package sink assembles the pieces of partitions into Parquet output files.
//
// Files are staged: written under the attempt's name in the staging directory, synced, and listed
// in a manifest. Nothing here is visible in the output until the job is published.
package sink

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
)

// Config says what a Writer writes and where.
type Config struct {
	FS   vfs.FS
	Conf model.JobConf
	// Schema and KeyValue are those of the output files.
	Schema   *schema.Schema
	KeyValue metadata.KeyValueMetadata
	Attempt  model.AttemptID
	// Threads is how many files are assembled at once, each of another partition; 0 means 1. Every
	// file holds up to a row group in memory.
	Threads int
	// Progress, when set, is called with the rows, bytes and files written so far, by one goroutine
	// at a time. It must not block.
	Progress func(rows, bytes, files int64)
}

// Writer writes the output files of one attempt. Its methods are called by one goroutine, but for
// Partition.
//
// Pieces come in one of two ways. Those of Append are in the order of partitions, which are dealt to
// lanes; a lane works on one partition at a time, in order, so that what a file holds does not
// depend on their number. Those of a Partition come whenever the caller has them, and are worked on
// in the caller's goroutine.
type Writer struct {
	cfg    Config
	codec  block.Codec
	leaves []*schema.Column
	names  naming
	lanes  []*lane   // started by the first Append
	idle   sync.Pool // *coders
	bufs   sync.Pool // *bufio.Writer

	key     model.PartitionKey
	current *lane // of key; nil before the first
	pending batch // pieces of key that were not handed over yet
	failed  atomic.Bool

	files   atomic.Int64   // numbers staged files
	syncs   errgroup.Group // makes finished files durable
	syncErr error          // of syncs, once stopped
	report  sync.Mutex     // guards the totals of Progress, and orders its calls
	written struct{ rows, bytes, files int64 }
	closed  bool

	book   sync.Mutex // guards what was staged
	open   map[*Partition]struct{}
	staged []model.StagedFile
	values int64
	hot    []model.ValueSize
}

// ErrOrder is returned for a key that is below the one before it.
var ErrOrder = errors.New("partition keys do not ascend")

var errClosed = errors.New("sink: the writer was closed, aborted or has failed")

// batch is pieces of one partition on their way to a lane.
type batch struct {
	key    model.PartitionKey
	pieces []Piece
	bytes  int64
}

// Piece is a piece with its owner. Release, when not nil, is called once the piece's bytes are not
// needed any more; it may be called by another goroutine, and after Append failed or Abort.
type Piece struct {
	*block.Piece
	From    model.AttemptID // the map attempt that made it, for errors
	Release func()
}

// size is the number of bytes of its pages.
func (p Piece) size() (n int64) {
	for i := range p.Chunks {
		n += p.Chunks[i].CompressedSize()
	}
	return n
}

func (p Piece) release() {
	if p.Release != nil {
		p.Release()
	}
}

// maxSyncs is how many finished files are made durable at once. Waiting for the disk is not work, and
// a journaling file system makes many syncs one.
const maxSyncs = 16

// batchBytes is how much is collected of a partition before its lane is woken.
const batchBytes = 1 << 20

// New returns a writer. Nothing is written before the first row.
func New(c Config) (*Writer, error) {
	codec, err := block.ParseCodec(c.Conf.Codec)
	if err != nil {
		return nil, err
	}
	w := &Writer{cfg: c, codec: codec, names: newNaming(c.Conf, c.Attempt), open: map[*Partition]struct{}{}}
	for i := range c.Schema.NumColumns() {
		w.leaves = append(w.leaves, c.Schema.Column(i))
	}
	w.syncs.SetLimit(maxSyncs)
	return w, nil
}

// Append adds a piece to its partition. Keys ascend; the pieces of a key come in the order of their
// rows. The writer keeps the piece and its bytes until it calls Release.
func (w *Writer) Append(key model.PartitionKey, p Piece) error {
	if w.closed {
		p.release()
		return errClosed
	}
	if w.lanes == nil {
		for range max(w.cfg.Threads, 1) {
			w.lanes = append(w.lanes, startLane(w))
		}
	}
	if w.current == nil || key != w.key {
		if w.current != nil && key.Compare(w.key) < 0 {
			p.release()
			return fmt.Errorf("partition %s after %s: %w", key, w.key, ErrOrder)
		}
		w.flush()
		w.key, w.current = key, w.idlest()
	}
	w.pending.pieces = append(w.pending.pieces, p)
	w.pending.bytes += p.size()
	if w.pending.bytes >= batchBytes {
		w.flush()
	}
	if w.failed.Load() {
		return w.failure()
	}
	return nil
}

// flush hands the pending pieces to the lane of their partition.
func (w *Writer) flush() {
	if len(w.pending.pieces) == 0 {
		return
	}
	w.pending.key = w.key
	w.current.queued.Add(w.pending.bytes)
	w.current.in <- w.pending
	w.pending = batch{}
}

// idlest is the lane with the fewest bytes waiting.
func (w *Writer) idlest() *lane {
	return slices.MinFunc(w.lanes, func(a, b *lane) int { return int(a.queued.Load() - b.queued.Load()) })
}

// failure joins what the lanes failed with.
func (w *Writer) failure() error {
	w.stop()
	errs := []error{w.syncErr}
	for _, l := range w.lanes {
		errs = append(errs, l.err)
	}
	return errors.Join(errs...)
}

// sync makes a file durable and closes it, in the background; it waits when too many are under way.
func (w *Writer) sync(f vfs.File) {
	w.syncs.Go(func() (err error) {
		defer parallel.Recover(&err)
		if err = errors.Join(f.Sync(), f.Close()); err != nil {
			w.failed.Store(true)
		}
		return err
	})
}

// stop lets the lanes finish and waits for them; nothing can be appended afterwards.
func (w *Writer) stop() {
	if w.closed {
		return
	}
	w.closed = true
	for _, l := range w.lanes {
		close(l.in)
	}
	for _, l := range w.lanes {
		<-l.done
	}
	w.syncErr = w.syncs.Wait()
}

// Close finishes the open files, writes the manifest and reports what was staged. After an error the
// caller calls Abort.
func (w *Writer) Close() (model.WriteOutput, error) {
	if w.closed {
		return model.WriteOutput{}, errors.Join(errClosed, w.failure())
	}
	w.flush()
	err := w.failure()
	if err != nil {
		return model.WriteOutput{}, err
	}
	if len(w.open) > 0 {
		return model.WriteOutput{}, model.Failf(model.ReasonInternal, "%d partitions were not finished", len(w.open))
	}
	out := model.WriteOutput{Attempt: w.cfg.Attempt, Values: w.values, Hot: hottest(w.hot)}
	for _, f := range w.staged {
		out.Files++
		out.Rows += f.Rows
		out.Bytes += f.Bytes
		out.Sizes = countSize(out.Sizes, f.Bytes)
	}
	if out.Manifest, err = writeManifest(w.cfg.FS, w.names.manifest(), w.staged); err != nil {
		return model.WriteOutput{}, err
	}
	return out, nil
}

// Abort removes every staged file and the manifest. It is safe after Close and when called again.
func (w *Writer) Abort() error {
	for _, p := range w.pending.pieces {
		p.release()
	}
	w.pending = batch{}
	w.failed.Store(true) // what waits in the lanes is dropped
	w.stop()
	errs := []error{removeStaged(w.cfg.FS, w.names.manifest())}
	for _, l := range w.lanes {
		errs = append(errs, l.asm.abort())
	}
	for p := range w.open {
		errs = append(errs, p.asm.abort())
	}
	clear(w.open)
	for _, f := range w.staged {
		errs = append(errs, removeStaged(w.cfg.FS, f.Staged))
	}
	w.staged = nil
	return errors.Join(errs...)
}

// bookFile and bookValue take note of a finished file and of a finished partition.
func (w *Writer) bookFile(f model.StagedFile) {
	w.book.Lock()
	defer w.book.Unlock()
	w.staged = append(w.staged, f)
}

func (w *Writer) bookValue(v model.ValueSize) {
	w.book.Lock()
	defer w.book.Unlock()
	w.values++
	if w.hot = append(w.hot, v); len(w.hot) >= 4*model.MaxHotKeys {
		w.hot = hottest(w.hot)
	}
}

// wrote counts a row group or a finished file.
func (w *Writer) wrote(rows, bytes, files int64) {
	if w.cfg.Progress == nil {
		return
	}
	w.report.Lock()
	defer w.report.Unlock()
	w.written.rows += rows
	w.written.bytes += bytes
	w.written.files += files
	w.cfg.Progress(w.written.rows, w.written.bytes, w.written.files)
}
