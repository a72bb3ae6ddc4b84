// Package vfs is the seam to the local file system: everything that Sluice writes goes through an
// FS, so that tests can make any single step fail.
package vfs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is an open file. Close reports what buffered writes still had to say; nobody may ignore it
// on a written file. ReadAt may be called concurrently.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Seeker
	io.Closer
	// Sync makes the data durable. The file's name is durable only after SyncDir of its directory.
	Sync() error
	Stat() (fs.FileInfo, error)
	Name() string
}

// FS is what Sluice asks of a file system. Paths are the operating system's. Implementations may
// be used concurrently. Errors are those of package os, so errors.Is with fs.ErrNotExist,
// fs.ErrExist, unix.ENOSPC works.
type FS interface {
	Open(name string) (File, error)
	// Create makes or truncates a file; mode 0666 less umask.
	Create(name string) (File, error)
	// CreateNew makes a file and fails with fs.ErrExist if the name is taken: put "if absent".
	CreateNew(name string) (File, error)
	// Rename replaces newname atomically. It is durable after SyncDir.
	Rename(oldname, newname string) error
	// Exchange swaps two existing names in one step (renameat2 RENAME_EXCHANGE); the error is
	// errors.ErrUnsupported where the file system cannot.
	Exchange(a, b string) error
	Remove(name string) error
	RemoveAll(name string) error
	MkdirAll(name string) error
	// Mkdir fails with fs.ErrExist if the name is taken.
	Mkdir(name string) error
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the directory's entries durable.
	SyncDir(name string) error
}

// OS is the file system of the operating system.
var OS FS = osFS{}

type osFS struct{}

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Open(name string) (File, error)   { return wrap(os.Open(name)) }
func (osFS) Create(name string) (File, error) { return wrap(os.Create(name)) }
func (osFS) CreateNew(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666))
}
func (osFS) Rename(o, n string) error                   { return os.Rename(o, n) }
func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                { return os.RemoveAll(name) }
func (osFS) MkdirAll(name string) error                 { return os.MkdirAll(name, 0o777) }
func (osFS) Mkdir(name string) error                    { return os.Mkdir(name, 0o777) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (osFS) Lstat(name string) (fs.FileInfo, error)     { return os.Lstat(name) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

func (osFS) Exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errUnsupported}
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

func (osFS) SyncDir(name string) (err error) {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := d.Close(); err == nil {
			err = cerr
		}
	}()
	return d.Sync()
}

// WriteFile writes data under a name in the durable order: write, sync, close, sync directory. It
// fails with fs.ErrExist when the name is taken and leaves no half file behind.
func WriteFile(fsys FS, name string, data []byte) error {
	f, err := fsys.CreateNew(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return joinRemove(fsys, name, err)
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// ReplaceFile writes data to name.tmp and renames it over name, durably.
func ReplaceFile(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := fsys.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := WriteFile(fsys, tmp, data); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return joinRemove(fsys, tmp, err)
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errTooLarge}
	}
	data = make([]byte, st.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}
