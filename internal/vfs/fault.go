package vfs

import (
	"errors"
	"io/fs"
	"sync/atomic"
)

// ErrInjected is what a FaultFS returns for the operation that was told to fail.
var ErrInjected = errors.New("injected fault")

// FaultFS passes everything to FS and fails exactly one operation: number FailAt, counted from 0
// over all calls that can fail, reads and writes of its files included. A sweep runs a piece of
// work with FailAt = 0, 1, 2 … until Fired reports false.
type FaultFS struct {
	FS     FS
	FailAt int64
	// Err is returned instead of ErrInjected when set (unix.ENOSPC, for example).
	Err   error
	count atomic.Int64
}

// Fired reports whether the fault happened.
func (f *FaultFS) Fired() bool { return f.count.Load() > f.FailAt }

func (f *FaultFS) step(op, name string) error {
	if f.count.Add(1)-1 != f.FailAt {
		return nil
	}
	err := f.Err
	if err == nil {
		err = ErrInjected
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (f *FaultFS) open(op, name string, do func(string) (File, error)) (File, error) {
	if err := f.step(op, name); err != nil {
		return nil, err
	}
	file, err := do(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f}, nil
}

func (f *FaultFS) do(op, name string, do func() error) error {
	if err := f.step(op, name); err != nil {
		return err
	}
	return do()
}

// The methods of FS.

func (f *FaultFS) Open(name string) (File, error)   { return f.open("open", name, f.FS.Open) }
func (f *FaultFS) Create(name string) (File, error) { return f.open("create", name, f.FS.Create) }
func (f *FaultFS) CreateNew(name string) (File, error) {
	return f.open("create", name, f.FS.CreateNew)
}
func (f *FaultFS) Rename(o, n string) error {
	return f.do("rename", n, func() error { return f.FS.Rename(o, n) })
}
func (f *FaultFS) Exchange(a, b string) error {
	return f.do("exchange", a, func() error { return f.FS.Exchange(a, b) })
}
func (f *FaultFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.FS.Remove(name) })
}
func (f *FaultFS) RemoveAll(name string) error {
	return f.do("removeall", name, func() error { return f.FS.RemoveAll(name) })
}
func (f *FaultFS) MkdirAll(name string) error {
	return f.do("mkdir", name, func() error { return f.FS.MkdirAll(name) })
}
func (f *FaultFS) Mkdir(name string) error {
	return f.do("mkdir", name, func() error { return f.FS.Mkdir(name) })
}
func (f *FaultFS) SyncDir(name string) error {
	return f.do("syncdir", name, func() error { return f.FS.SyncDir(name) })
}
func (f *FaultFS) Stat(name string) (fs.FileInfo, error) {
	if err := f.step("stat", name); err != nil {
		return nil, err
	}
	return f.FS.Stat(name)
}
func (f *FaultFS) Lstat(name string) (fs.FileInfo, error) {
	if err := f.step("lstat", name); err != nil {
		return nil, err
	}
	return f.FS.Lstat(name)
}
func (f *FaultFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.step("readdir", name); err != nil {
		return nil, err
	}
	return f.FS.ReadDir(name)
}

type faultFile struct {
	File
	fs *FaultFS
}

func (f *faultFile) Read(p []byte) (int, error) {
	if err := f.fs.step("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.step("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.fs.step("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error {
	if err := f.fs.step("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// Close always closes the file below, also when it is told to fail.
func (f *faultFile) Close() error {
	ferr := f.fs.step("close", f.Name())
	return errors.Join(ferr, f.File.Close())
}
