package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// keepScratch is how long the scratch of a process that died stays: long enough to look at it.
const keepScratch = 24 * time.Hour

// lockFile lies in a scratch directory; its process holds a lock on it as long as it lives.
const lockFile = "lock"

// scratch is a directory of this process's own below a temporary directory.
type scratch struct {
	fs   vfs.FS
	dir  string
	lock *os.File
}

// newScratch makes a scratch directory and removes old ones of processes that died.
func newScratch(fsys vfs.FS, temp, kind string, log *slog.Logger) (*scratch, error) {
	fail := func(err error) error { return fmt.Errorf("--temp-dir %s: %w", temp, err) }
	if err := fsys.MkdirAll(temp); err != nil {
		return nil, fail(err)
	}
	sweepScratch(fsys, temp, time.Now().Add(-keepScratch), log)
	s := &scratch{fs: fsys, dir: filepath.Join(temp, kind+"-"+randomName())}
	if err := fsys.Mkdir(s.dir); err != nil {
		return nil, fail(err)
	}
	var err error
	if s.lock, err = os.Create(filepath.Join(s.dir, lockFile)); err != nil {
		return nil, errors.Join(fail(err), fsys.RemoveAll(s.dir))
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fail(err), s.remove())
	}
	return s, nil
}

// remove removes the directory and what is in it.
func (s *scratch) remove() error {
	if err := errors.Join(s.fs.RemoveAll(s.dir), s.lock.Close()); err != nil {
		return fmt.Errorf("removing the scratch directory: %w", err)
	}
	return nil
}

// sweepScratch removes scratch directories that are older than a time and whose process is dead. What
// cannot be removed is nobody's failure: it is logged.
func sweepScratch(fsys vfs.FS, temp string, before time.Time, log *slog.Logger) {
	entries, err := fsys.ReadDir(temp)
	if err != nil {
		log.Warn("looking for old scratch directories", "error", err)
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), "run-") && !strings.HasPrefix(e.Name(), "executor-") {
			continue
		}
		dir := filepath.Join(temp, e.Name())
		dead, err := isDead(dir, before)
		if err == nil && dead {
			err = fsys.RemoveAll(dir)
			log.Info("removed the scratch of a process that died", "dir", dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("removing an old scratch directory", "dir", dir, "error", err)
		}
	}
}

// isDead reports whether a directory has a lock file that is old and that nobody holds.
func isDead(dir string, before time.Time) (dead bool, err error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.ModTime().After(before) {
		return false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return time.Now().UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}
