// Package publish makes the staged files of a job visible on a local (or shared) directory, all of
// them or none: the claim on an output, the five steps of a publication, and what has to be done
// after a crash in the middle of one.
//
// # Where things lie
//
// Everything of Sluice in an output lies under its directory _sluice/. A job stages in a sibling of
// the output, the side, named _sluice-<job>.tmp (no '=', so that no reader takes it for a partition
// directory). The publisher builds the whole new output there and swaps the two directories in one
// step (renameat2 with RENAME_EXCHANGE). Where the parent cannot be written, or the output is a mount
// point, the side lies inside the output's _sluice/ and files are moved one by one; a reader that only
// lists can then see old and new files together during the last step.
//
//	out/_sluice/claim-<n>            the right to write here
//	out/_sluice/publish-<job>.json   the publish record (step 1)
//	out/_sluice/commit-<job>         the commit object (step 4)
//	side/_sluice/new-<job>           marks the new side; after the swap it lies in out/_sluice
//	side/_sluice/stage/              staged files and manifests, all ending in .tmp
package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// controlDir is the directory of an output that belongs to Sluice.
const controlDir = "_sluice"

// successFile marks a complete output, as Hadoop's committers do. It is empty.
const successFile = "_SUCCESS"

// maxControlFile limits the control files that are read: records, manifests, claims.
const maxControlFile = 1 << 30

// layout knows the names around one job's publication.
type layout struct {
	fs   vfs.FS
	job  model.JobID
	out  string // the output directory
	side string // root of the new output until it is published
}

// layoutOf derives the layout from what every task knows.
func layoutOf(fsys vfs.FS, conf model.JobConf) layout {
	side := filepath.Dir(filepath.Dir(conf.StagingDir))
	return layout{fs: fsys, job: conf.Job, out: conf.Out, side: side}
}

// swaps reports whether the output is replaced as a whole directory.
func (l layout) swaps() bool { return filepath.Dir(l.side) == filepath.Dir(l.out) }

func (l layout) control() string     { return filepath.Join(l.out, controlDir) }
func (l layout) sideControl() string { return filepath.Join(l.side, controlDir) }
func (l layout) stage() string       { return filepath.Join(l.sideControl(), "stage") }
func (l layout) record() string {
	return filepath.Join(l.control(), "publish-"+string(l.job)+".json")
}
func (l layout) commit() string  { return filepath.Join(l.control(), "commit-"+string(l.job)) }
func (l layout) newMark() string { return "new-" + string(l.job) }

// target is the directory in which files get their final names before the commit point.
func (l layout) target() string {
	if l.swaps() {
		return l.side
	}
	return l.out
}

// sideName is the name of a job's side directory.
func sideName(job model.JobID) string { return controlDir + "-" + string(job) + ".tmp" }

// listFiles lists every file below an output except Sluice's own, in lexical order.
func listFiles(fsys vfs.FS, root string) ([]plan.OldFile, error) {
	var files []plan.OldFile
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := fsys.ReadDir(filepath.Join(root, rel))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if rel == "" && (e.Name() == controlDir || e.Name() == successFile) {
				continue
			}
			name := filepath.Join(rel, e.Name())
			if e.IsDir() {
				if err := walk(name); err != nil {
					return err
				}
				continue
			}
			info, err := fsys.Lstat(filepath.Join(root, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since it was listed
			}
			if err != nil {
				return err
			}
			files = append(files, plan.OldFile{Path: name, Size: info.Size(), ModTime: info.ModTime().UnixNano()})
		}
		return nil
	}
	if err := walk(""); err != nil {
		return nil, fmt.Errorf("listing the output %s: %w", root, err)
	}
	return files, nil
}

// exists reports whether a name is there.
func exists(fsys vfs.FS, name string) (bool, error) {
	_, err := fsys.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// removeIfThere removes a file that may be gone already.
func removeIfThere(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeEmptyDirs removes directories from dir up to (not including) root as long as they are empty.
func removeEmptyDirs(fsys vfs.FS, root, dir string) error {
	for dir != root && strings.HasPrefix(dir, root) {
		entries, err := fsys.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return nil
		}
		if err := removeIfThere(fsys, dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}
