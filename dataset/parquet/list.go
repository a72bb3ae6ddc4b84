package parquet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// maxListDepth bounds the directories below an input; symbolic links can make a circle.
const maxListDepth = 64

// Found is a data file below an input.
type Found struct {
	Path string // absolute
	// RelPath is the path with '/' below the input directory, below the part of a pattern that holds
	// no wildcard, or the base name of an input file.
	RelPath string
	Size    int64
	ModTime int64 // Unix nanoseconds
}

// List finds the data files of inputs: directories, taken with everything below them, glob patterns
// of path/filepath, and files. Below a directory it leaves out what readers of data lakes leave out:
// names that begin with '.', or with '_' unless they hold a '=' (a Hive directory of a column such
// as _day), names that end in ".tmp" (Hive directories again not) and files without a byte. A file
// named as such is always taken.
//
// The result is ordered by path; a file that several inputs lead to comes once, with the RelPath of
// the first. A missing path, and an input without a file, is a *model.Failure of ReasonUser.
func List(ctx context.Context, fsys vfs.FS, inputs []string) ([]Found, error) {
	l := &lister{ctx: ctx, fsys: fsys, seen: map[string]bool{}}
	for _, in := range inputs {
		before := l.taken
		if err := l.input(in); err != nil {
			return nil, err
		}
		if l.taken == before {
			return nil, model.Failf(model.ReasonUser, "input %s holds no Parquet files", in)
		}
	}
	slices.SortFunc(l.found, func(a, b Found) int { return cmp.Compare(a.Path, b.Path) })
	return l.found, nil
}

type lister struct {
	ctx   context.Context
	fsys  vfs.FS
	found []Found
	seen  map[string]bool
	taken int // files met, those seen before included
}

// input lists one input. A name that exists is never a pattern.
func (l *lister) input(in string) error {
	abs, err := filepath.Abs(in)
	if err != nil {
		return model.Failf(model.ReasonUser, "input %s: %w", in, err)
	}
	st, err := l.fsys.Stat(abs)
	switch {
	case err == nil:
		if st.IsDir() {
			return l.walk(abs, abs, 0)
		}
		return l.add(abs, filepath.Dir(abs), st)
	case !errors.Is(err, fs.ErrNotExist):
		return listFailure(in, err)
	case !strings.ContainsAny(in, `*?[`):
		return model.Failf(model.ReasonUser, "input %s: %w", in, fs.ErrNotExist)
	}
	return l.glob(in, abs)
}

// glob matches a pattern one level at a time. Names that begin with '.' match only a pattern that
// begins with '.', as in a shell.
func (l *lister) glob(in, pattern string) error {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return model.Failf(model.ReasonUser, "input %s: %w", in, err)
	}
	parts := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	fixed := slices.IndexFunc(parts, func(p string) bool { return strings.ContainsAny(p, `*?[\`) })
	base := "/" + filepath.Join(parts[:fixed]...)
	paths := []string{base}
	for _, part := range parts[fixed:] {
		var next []string
		for _, dir := range paths {
			names, err := l.matches(dir, part)
			if err != nil {
				return listFailure(in, err)
			}
			next = append(next, names...)
		}
		paths = next
	}
	for _, p := range paths {
		st, err := l.fsys.Stat(p)
		if err != nil {
			return listFailure(p, err)
		}
		if st.IsDir() {
			err = l.walk(p, base, 0)
		} else {
			err = l.add(p, base, st)
		}
		if err != nil {
			return err
		}
	}
	if len(paths) == 0 {
		return model.Failf(model.ReasonUser, "input %s matches nothing", in)
	}
	return nil
}

// matches returns the entries of dir that match the pattern; a dir that is none has no entries.
func (l *lister) matches(dir, pattern string) ([]string, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	st, err := l.fsys.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := l.fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".") {
			continue
		}
		if ok, _ := filepath.Match(pattern, e.Name()); ok { // the pattern was checked
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

// add takes one file; RelPath begins below base.
func (l *lister) add(path, base string, st fs.FileInfo) error {
	if !st.Mode().IsRegular() {
		return model.Failf(model.ReasonUser, "input %s is not a regular file", path)
	}
	l.taken++
	if l.seen[path] {
		return nil
	}
	l.seen[path] = true
	rel, err := filepath.Rel(base, path)
	if err != nil {
		return model.Failf(model.ReasonUser, "input %s: %w", path, err)
	}
	l.found = append(l.found, Found{Path: path, RelPath: filepath.ToSlash(rel), Size: st.Size(), ModTime: st.ModTime().UnixNano()})
	return nil
}

func (l *lister) walk(dir, base string, depth int) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if depth > maxListDepth {
		return model.Failf(model.ReasonUser, "input %s: directories are nested more than %d deep; does a symbolic link make a circle?", dir, maxListDepth)
	}
	entries, err := l.fsys.ReadDir(dir)
	if err != nil {
		return listFailure(dir, err)
	}
	for _, e := range entries {
		if hidden(e.Name(), e.IsDir()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		st, err := l.fsys.Stat(path) // follows symbolic links
		if err != nil {
			return listFailure(path, err)
		}
		switch {
		case st.IsDir():
			err = l.walk(path, base, depth+1)
		case st.Size() > 0:
			err = l.add(path, base, st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hidden reports whether readers leave a name out. A Hive directory is data whatever its value ends in.
func hidden(name string, dir bool) bool {
	hive := strings.Contains(name, "=")
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") && !hive ||
		strings.HasSuffix(name, ".tmp") && (!dir || !hive)
}

func listFailure(path string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	reason := model.ReasonIO
	if permanent(err) {
		reason = model.ReasonUser
	}
	return model.AsFailure(fmt.Errorf("listing input %s: %w", path, err), reason)
}
