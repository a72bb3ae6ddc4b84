package gen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// fileName is the name of a file when all are finished. Until then tmpSuffix follows it.
func fileName(file int) string { return fmt.Sprintf("part-%05d.parquet", file) }

const tmpSuffix = ".tmp"

// output is the directory that the files go to.
type output struct {
	fs    vfs.FS
	dir   string
	owned bool // made by us, and removed with the files if the work fails
	// names are those under which our files are now; empty where there is none. Each is set by the
	// worker that makes the file, and read when the workers have ended. What is not in it is not ours:
	// another process may have found the directory empty in the same moment.
	names []string
}

// openOutput makes the directory, or checks that it is empty.
func openOutput(fsys vfs.FS, dir string, files int) (*output, error) {
	out := &output{fs: fsys, dir: dir, names: make([]string, files)}
	entries, err := fsys.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		out.owned = true
		if err := fsys.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("--out %s: make the directory: %w", dir, err)
		}
	case err != nil:
		return nil, fmt.Errorf("--out %s: %w", dir, err)
	case len(entries) > 0:
		return nil, fmt.Errorf("--out %s: %w: it holds %s; remove what is there or name another directory",
			dir, ErrNotEmpty, entries[0].Name())
	}
	return out, nil
}

func (out *output) path(file int) string { return filepath.Join(out.dir, fileName(file)) }

// write makes one file under its temporary name.
func (out *output) write(ctx context.Context, w *worker, spec fileSpec) (size int64, err error) {
	name := out.path(spec.index) + tmpSuffix
	f, err := out.fs.CreateNew(name)
	if err != nil {
		return 0, err
	}
	out.names[spec.index] = name
	defer func() {
		if cerr := f.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	return w.write(ctx, f, spec)
}

// publish gives all files their names, in order.
func (out *output) publish() error {
	for i, tmp := range out.names {
		if err := out.fs.Rename(tmp, out.path(i)); err != nil {
			return fmt.Errorf("give %s its name: %w", tmp, err)
		}
		out.names[i] = out.path(i)
	}
	return nil
}

// discard removes every file that was made, and the directory if it is ours.
func (out *output) discard() error {
	var errs []error
	for _, name := range out.names {
		if name != "" {
			errs = append(errs, out.fs.Remove(name))
		}
	}
	if out.owned {
		errs = append(errs, out.fs.Remove(out.dir))
	}
	return errors.Join(errs...)
}
