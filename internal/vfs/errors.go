package vfs

import (
	"errors"
	"io/fs"
)

var (
	errUnsupported = errors.ErrUnsupported
	errTooLarge    = errors.New("file is larger than the limit")
)

// joinRemove removes a half-written file and adds what went wrong there to err.
func joinRemove(fsys FS, name string, err error) error {
	if rerr := fsys.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return errors.Join(err, rerr)
	}
	return err
}
