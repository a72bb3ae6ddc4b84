package gen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small makes three files in a moment.
func small(dir string) Options {
	return Options{Dir: dir, Rows: 50, Files: 3, Types: 7, Seed: 1, Threads: 1}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFilesAndProgress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "with", "parents")
	o := small(dir)
	o.Threads = 2
	var calls int
	var last Result
	o.Progress = func(rows, bytes int64, files int) {
		calls++
		if files != calls || rows <= last.Rows || bytes <= last.Bytes {
			t.Errorf("call %d: %d rows, %d bytes, %d files after %+v", calls, rows, bytes, files, last)
		}
		last = Result{Rows: rows, Bytes: bytes, Files: files}
	}
	res, err := Events(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if res != last || res.Rows != 50 || res.Files != 3 {
		t.Errorf("result %+v, last progress %+v", res, last)
	}
	if got := strings.Join(names(t, dir), " "); got != "part-00000.parquet part-00001.parquet part-00002.parquet" {
		t.Errorf("files: %s", got)
	}
	var bytes int64
	for _, n := range names(t, dir) {
		st, err := os.Stat(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		bytes += st.Size()
	}
	if bytes != res.Bytes {
		t.Errorf("the files have %d bytes, the result says %d", bytes, res.Bytes)
	}
}

func TestADirectoryThatHoldsSomethingIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "part-00000.parquet"), []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Events(t.Context(), small(dir))
	if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another directory") {
		t.Errorf("error %v should be ErrNotEmpty, and name the directory and what to do", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "part-00000.parquet")); err != nil || string(got) != "mine" {
		t.Errorf("the file that was there is now %q, %v", got, err)
	}
	if len(names(t, dir)) != 1 {
		t.Errorf("the directory now holds %v", names(t, dir))
	}
}

func TestAFileInThePlaceOfTheDirectoryIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Events(t.Context(), small(file)); err == nil || !strings.Contains(err.Error(), "--out "+file) {
		t.Errorf("error %v does not name the flag", err)
	}
}

// TestEveryFaultIsReported fails one operation after the other, until the work needs no more. The
// error must come out, and nothing may be left behind: neither half a file nor half a set.
func TestEveryFaultIsReported(t *testing.T) {
	for _, made := range []bool{false, true} {
		for at := int64(0); ; at++ {
			dir := filepath.Join(t.TempDir(), "out")
			if made {
				if err := os.Mkdir(dir, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			fault := &vfs.FaultFS{FS: vfs.OS, FailAt: at}
			o := small(dir)
			o.FS = fault
			_, err := Events(t.Context(), o)
			if !fault.Fired() {
				if err != nil {
					t.Fatalf("without a fault: %v", err)
				}
				if want := int64(3 * 4); at < want {
					t.Errorf("only %d operations could fail, want create, write, close and rename of each file", at)
				}
				break
			}
			if !errors.Is(err, vfs.ErrInjected) {
				t.Errorf("operation %d failed and the error is %v", at, err)
			}
			if _, err := os.Stat(dir); made && err != nil || !made && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("operation %d: the directory was there: %v; now: %v", at, made, err)
			} else if made && len(names(t, dir)) != 0 {
				t.Errorf("operation %d left %v", at, names(t, dir))
			}
		}
	}
}

// TestAWriteOfABigFileFails has a row group that is written in several pieces.
func TestAWriteOfABigFileFails(t *testing.T) {
	dir := t.TempDir()
	_, err := Events(t.Context(), Options{
		Dir: dir, Rows: groupRows, Files: 1, Types: 500, Codec: CodecNone,
		FS: &vfs.FaultFS{FS: vfs.OS, FailAt: 3}, // after readdir, create and the first write
	})
	if !errors.Is(err, vfs.ErrInjected) || !strings.Contains(err.Error(), "part-00000.parquet.tmp") {
		t.Errorf("error %v should be the fault, and name the file", err)
	}
	if len(names(t, dir)) != 0 {
		t.Errorf("left behind: %v", names(t, dir))
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	for _, after := range []int{0, 1, 20} {
		dir := filepath.Join(t.TempDir(), "out")
		ctx, cancel := context.WithCancel(t.Context())
		if after == 0 {
			cancel()
		}
		_, err := Events(ctx, Options{
			Dir: dir, Rows: 40_000, Files: 40, Types: 7, Threads: 2,
			Progress: func(_, _ int64, files int) {
				if files == after {
					cancel()
				}
			},
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d files: error %v", after, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("cancelled after %d files: the directory is still there: %v", after, err)
		}
	}
}

// rivalFS is a file system on which another process starts to write the same data set just after we
// have found the directory empty.
type rivalFS struct {
	vfs.FS
	file string
}

func (f rivalFS) CreateNew(name string) (vfs.File, error) {
	if name == f.file {
		if err := os.WriteFile(name, []byte("rival"), 0o666); err != nil {
			return nil, err
		}
	}
	return f.FS.CreateNew(name)
}

func TestFilesOfARivalAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "part-00001.parquet.tmp")
	o := small(dir)
	o.FS = rivalFS{vfs.OS, theirs}
	if _, err := Events(t.Context(), o); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want that the file exists", err)
	}
	if got, err := os.ReadFile(theirs); err != nil || string(got) != "rival" || len(names(t, dir)) != 1 {
		t.Errorf("left: %v; the rival's file: %q, %v", names(t, dir), got, err)
	}
}
