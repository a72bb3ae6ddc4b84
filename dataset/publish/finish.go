package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// ParseManifest reads a manifest: one JSON object per line. Final names must stay below the output.
func ParseManifest(b []byte) ([]model.StagedFile, error) {
	var files []model.StagedFile
	for line := range bytes.Lines(b) {
		var f model.StagedFile
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("manifest line %d: %w", len(files)+1, err)
		}
		if !filepath.IsLocal(f.Final) || !filepath.IsAbs(f.Staged) || f.Bytes < 0 || f.Rows < 0 {
			return nil, fmt.Errorf("manifest line %d: %q is not a file below the output", len(files)+1, f.Final)
		}
		files = append(files, f)
	}
	return files, nil
}

// finish is step 5: the new files become the output, the old ones go.
func (l layout) finish(old []plan.OldFile) error {
	if l.swaps() {
		return l.finishBySwap(old)
	}
	if err := l.removeOld(l.out, old); err != nil {
		return err
	}
	return l.markSuccess(l.out)
}

func (l layout) markSuccess(dir string) error {
	err := vfs.WriteFile(l.fs, filepath.Join(dir, successFile), nil)
	if errors.Is(err, fs.ErrExist) {
		return l.fs.SyncDir(dir)
	}
	return err
}

// finishBySwap exchanges output and side in one step, moves over what arrived in the old output
// after it was listed, and deletes the old one. Which side is new is told by the mark, so the step
// can be repeated from any point.
func (l layout) finishBySwap(old []plan.OldFile) error {
	pending, err := exists(l.fs, filepath.Join(l.sideControl(), l.newMark()))
	if err != nil {
		return err
	}
	if pending {
		if err := l.markSuccess(l.side); err != nil {
			return err
		}
		err := l.fs.Exchange(l.side, l.out)
		if errors.Is(err, errors.ErrUnsupported) {
			return l.finishByMoves(old)
		}
		if err != nil {
			return err
		}
	}
	if err := l.fs.SyncDir(filepath.Dir(l.out)); err != nil {
		return err
	}
	there, err := exists(l.fs, l.side)
	if err != nil || !there {
		return err
	}
	if err := l.moveLate(old); err != nil {
		return err
	}
	return l.removeSide()
}

// removeSide removes the side's data first and its control files last, so that a crash in between
// still finds the record and the commit object.
func (l layout) removeSide() error {
	entries, err := l.fs.ReadDir(l.side)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == controlDir {
			continue
		}
		if err := l.fs.RemoveAll(filepath.Join(l.side, e.Name())); err != nil {
			return err
		}
	}
	return l.fs.RemoveAll(l.side)
}

// finishByMoves is for file systems that cannot exchange directories: file by file, old ones last.
func (l layout) finishByMoves(old []plan.OldFile) error {
	files, err := listFiles(l.fs, l.side)
	if err != nil {
		return err
	}
	if err := l.move(files); err != nil {
		return err
	}
	if err := l.removeOld(l.out, old); err != nil {
		return err
	}
	return l.markSuccess(l.out)
}

// move renames files from the side into the output and makes the names durable.
func (l layout) move(files []plan.OldFile) error {
	dirs := map[string]bool{l.out: true}
	for _, f := range files {
		to := filepath.Join(l.out, f.Path)
		if err := l.fs.MkdirAll(filepath.Dir(to)); err != nil {
			return err
		}
		if err := l.fs.Rename(filepath.Join(l.side, f.Path), to); err != nil {
			return err
		}
		for dir := filepath.Dir(to); !dirs[dir]; dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	for dir := range dirs {
		if err := l.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// moveLate moves files that no record names from the old output (now the side) into the new one.
func (l layout) moveLate(old []plan.OldFile) error {
	files, err := listFiles(l.fs, l.side)
	if err != nil {
		return err
	}
	known := make(map[plan.OldFile]bool, len(old))
	for _, f := range old {
		known[f] = true
	}
	late := slices.DeleteFunc(files, func(f plan.OldFile) bool { return known[f] })
	if len(late) == 0 {
		return nil
	}
	return l.move(late)
}

// removeOld deletes the old files that are still the ones that were listed.
func (l layout) removeOld(root string, old []plan.OldFile) error {
	for _, f := range old {
		path := filepath.Join(root, f.Path)
		info, err := l.fs.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Size() != f.Size || info.ModTime().UnixNano() != f.ModTime {
			continue // somebody replaced it: it is not what we listed
		}
		if err := l.fs.Remove(path); err != nil {
			return err
		}
		if err := removeEmptyDirs(l.fs, root, filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}

// undo takes back step 2, before the commit point only. The side goes as a whole with cleanup; in
// place, the files that got their names are removed.
func (l layout) undo(manifests []model.ManifestRef) error {
	if !l.swaps() {
		for _, m := range manifests {
			files, err := l.readManifest(m)
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := l.undoFile(f); err != nil {
					return err
				}
			}
		}
	}
	return removeIfThere(l.fs, l.record())
}

func (l layout) undoFile(f model.StagedFile) error {
	staged, err := exists(l.fs, f.Staged)
	if err != nil || staged {
		return err // it never got its final name
	}
	path := filepath.Join(l.out, f.Final)
	if err := removeIfThere(l.fs, path); err != nil {
		return err
	}
	return removeEmptyDirs(l.fs, l.out, filepath.Dir(path))
}

// cleanup removes everything of the job that is not data; the caller releases the claim after it.
func (l layout) cleanup() error {
	pending, err := exists(l.fs, filepath.Join(l.sideControl(), l.newMark()))
	if err != nil {
		return err
	}
	if pending || !l.swaps() {
		if err := l.fs.RemoveAll(l.side); err != nil {
			return err
		}
	}
	for _, name := range []string{l.record() + ".tmp", l.record(), l.commit(), filepath.Join(l.control(), l.newMark())} {
		if err := removeIfThere(l.fs, name); err != nil {
			return err
		}
	}
	if l.swaps() && !pending {
		// After the swap the output's control directory is the one that was built in the side.
		if err := l.fs.RemoveAll(filepath.Join(l.control(), "stage")); err != nil {
			return err
		}
	}
	return nil
}

// recover ends or undoes the publication of a dead job: forward when its commit object is there,
// else back.
func (l layout) recover() error {
	swapped, err := exists(l.fs, filepath.Join(l.control(), l.newMark()))
	if err != nil {
		return err
	}
	committed, err := exists(l.fs, l.commit())
	if err != nil {
		return err
	}
	if !swapped && !committed {
		return l.recoverBack()
	}
	rec, err := l.findRecord()
	if err != nil {
		return err
	}
	if rec != nil {
		if err := l.finish(rec.Remove); err != nil {
			return err
		}
	}
	return l.cleanup()
}

func (l layout) recoverBack() error {
	rec, err := l.findRecord()
	if err != nil {
		return err
	}
	if rec != nil {
		if err := l.undo(rec.Manifests); err != nil {
			return err
		}
	}
	return l.cleanup()
}

// findRecord reads the publish record from where it is now: in the output or, after the swap, in the
// side. It is nil when there is none (any more).
func (l layout) findRecord() (*record, error) {
	for _, dir := range []string{l.control(), l.sideControl()} {
		b, err := vfs.ReadFile(l.fs, filepath.Join(dir, filepath.Base(l.record())), maxControlFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", l.record(), err)
		}
		return &r, nil
	}
	return nil, nil
}
