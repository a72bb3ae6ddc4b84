// Package gen writes the landing data set with which Sluice is tried, tested and measured: many
// small Parquet files of mixed events, as a streaming pipeline lands them.
//
// The data is a function of the options alone: the same options make the same bytes, whatever the
// number of threads. Values are made a column at a time, right in the pages that are then compressed;
// those from a list are never looked up, because they are drawn as their place in the list. The stock
// way, Arrow arrays and pqarrow, takes five times as long.
package gen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// Codecs of the pages.
const (
	CodecSnappy = "snappy"
	CodecZstd   = "zstd"
	CodecNone   = "none"
)

// Limits of the options.
const (
	maxFiles       = 1_000_000 // two years of minutes
	maxTypes       = 100_000
	maxRowsPerFile = math.MaxInt16 * groupRows // a row group's ordinal has 16 bits
)

// ErrNotEmpty means that the output directory holds something. Nothing was written.
var ErrNotEmpty = errors.New("the directory is not empty")

// Options say what to generate.
type Options struct {
	Dir   string // output directory; made if it does not exist, else it must be empty
	Rows  int64  // in all files together; at least one per file
	Files int    // rows are spread evenly; the first files get one more if they do not divide
	Types int    // event types, the first with about a quarter of the rows
	Seed  uint64 // other seeds make other data of the same kind

	// Threads is the number of files made at the same time, each in some 10 MB of memory (65 MB where
	// files have more than 100,000 rows). 0 means one per CPU. It does not show in the data.
	Threads int
	// Codec is CodecSnappy (also if empty), CodecZstd or CodecNone.
	Codec string
	// Progress, if set, is told after each file what is done so far. It is called by one goroutine,
	// the caller's of Events, and holds up nothing but the next call.
	Progress func(rows, bytes int64, files int)
	// FS is where the files go; nil means the local file system.
	FS vfs.FS
}

// Result is what was written.
type Result struct {
	Rows, Bytes int64
	Files       int
}

// Validate returns an error that names the flag whose value cannot be used.
func (o *Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("--out is missing: name the directory to write to")
	case o.Files < 1 || o.Files > maxFiles:
		return fmt.Errorf("--files %d: must be between 1 and %d", o.Files, maxFiles)
	case o.Rows < 1:
		return fmt.Errorf("--rows %d: must be at least 1", o.Rows)
	case o.Rows < int64(o.Files):
		return fmt.Errorf("--rows %d is less than --files %d: every file holds at least one row, lower --files",
			o.Rows, o.Files)
	case (o.Rows-1)/int64(o.Files) >= maxRowsPerFile:
		return fmt.Errorf("--rows %d in --files %d: a file holds at most %d rows, raise --files",
			o.Rows, o.Files, int64(maxRowsPerFile))
	case o.Types < 1 || o.Types > maxTypes:
		return fmt.Errorf("--types %d: must be between 1 and %d", o.Types, maxTypes)
	case o.Threads < 0:
		return fmt.Errorf("--threads %d: must not be negative (0 means one per CPU)", o.Threads)
	}
	switch o.Codec {
	case "", CodecSnappy, CodecZstd, CodecNone:
		return nil
	}
	return errCodec(o.Codec)
}

func errCodec(name string) error {
	return fmt.Errorf("--compression %q: must be %s, %s or %s", name, CodecSnappy, CodecZstd, CodecNone)
}

// rowsOf is the number of rows of a file.
func (o *Options) rowsOf(file int) int64 {
	rows := o.Rows / int64(o.Files)
	if int64(file) < o.Rows%int64(o.Files) {
		rows++
	}
	return rows
}

// Events writes the data set. Files get their names when all are complete: who reads the directory
// meanwhile, or after a crash, finds names that end in .tmp and no part of a data set. After an
// error, or when ctx ends, everything that was written is removed again. The error is
// ErrNotEmpty if there is something in o.Dir already.
//
// Nothing is synced to the disk: what a power cut takes can be generated again.
func Events(ctx context.Context, o Options) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Codec == "" {
		o.Codec = CodecSnappy
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	out, err := openOutput(o.FS, o.Dir, o.Files)
	if err != nil {
		return Result{}, err
	}
	res, err := writeAll(ctx, &o, out)
	if err == nil {
		err = out.publish()
	}
	if err != nil {
		return Result{}, errors.Join(err, out.discard())
	}
	return res, nil
}

// writeAll makes all files under their temporary names.
func writeAll(ctx context.Context, o *Options, out *output) (Result, error) {
	sc, err := newSchema()
	if err != nil {
		return Result{}, err
	}
	vocabulary := newVocabulary(o.Types, o.Seed)
	finished := make(chan Result, o.Threads)
	var next atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	for range min(o.Threads, o.Files) {
		g.Go(func() error {
			fw, err := newFileWriter(sc, o.Codec)
			if err != nil {
				return err
			}
			w := newWorker(fw, vocabulary, o.Seed, o.rowsOf(0))
			for {
				spec := fileSpec{index: int(next.Add(1)) - 1}
				if spec.index >= o.Files {
					return nil
				}
				spec.rows = o.rowsOf(spec.index)
				bytes, err := out.write(gctx, w, spec)
				if err != nil {
					return err
				}
				finished <- Result{Rows: spec.rows, Bytes: bytes, Files: 1}
			}
		})
	}
	go func() {
		err = g.Wait() // read after the channel is closed
		close(finished)
	}()
	var sum Result
	for r := range finished {
		sum.Rows += r.Rows
		sum.Bytes += r.Bytes
		sum.Files += r.Files
		if o.Progress != nil {
			o.Progress(sum.Rows, sum.Bytes, sum.Files)
		}
	}
	return sum, err
}
