package e2e

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree lists what lies below a directory: path → size for files, path with a slash → 0 for directories.
// A directory that does not exist is nil.
func tree(t *testing.T, root string) map[string]int64 {
	t.Helper()
	var found map[string]int64
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if path == root && errors.Is(err, fs.ErrNotExist) {
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since its directory was read: a job is at work there
		}
		if err != nil {
			return err
		}
		if found == nil {
			found = map[string]int64{}
		}
		if path == root {
			return nil
		}
		name := strings.TrimPrefix(path, root+"/")
		if e.IsDir() {
			found[name+"/"] = 0
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			found[name] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// contents maps every file below a directory to a hash of its bytes, so that two looks at it can be
// compared.
func contents(t *testing.T, root string) map[string][sha256.Size]byte {
	t.Helper()
	found := map[string][sha256.Size]byte{}
	for name := range tree(t, root) {
		if strings.HasSuffix(name, "/") {
			found[name] = [sha256.Size]byte{}
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = sha256.Sum256(text)
	}
	return found
}

// leftNothing checks that the job left no temporary file, neither in its scratch directory nor beside
// its output.
func (j job) leftNothing(t *testing.T) {
	t.Helper()
	for name := range tree(t, j.temp) {
		// An empty directory of the process may stay; what lies in it may not.
		if !strings.HasSuffix(name, "/") {
			t.Errorf("left in --temp-dir: %s", name)
		}
	}
	j.leftNothingBeside(t)
}

// leftNothingBeside checks that nothing temporary lies beside the output.
func (j job) leftNothingBeside(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(j.out))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{j.out, j.temp, j.receipt}, filepath.Join(filepath.Dir(j.out), e.Name())) {
			t.Errorf("left beside the output: %s", e.Name())
		}
	}
}

// wroteNothing checks that there is no output and nothing temporary.
func (j job) wroteNothing(t *testing.T) {
	t.Helper()
	if found := tree(t, j.out); found != nil {
		t.Errorf("the job failed but left an output: %v", slices.Sorted(maps.Keys(found)))
	}
	j.leftNothing(t)
}

// dataFiles checks that an output holds nothing but Parquet files, in directories as deep as said, and
// an empty _SUCCESS, and returns the files' sizes by path.
func dataFiles(t *testing.T, out string, depth int) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	found := tree(t, out)
	if size, ok := found["_SUCCESS"]; !ok || size != 0 {
		t.Errorf("%s: want an empty _SUCCESS", out)
	}
	for name, size := range found {
		switch {
		case name == "_SUCCESS":
		case strings.HasSuffix(name, "/") && strings.Count(name, "/") <= depth:
		case strings.HasSuffix(name, ".parquet") && strings.Count(name, "/") == depth:
			files[name] = size
		default:
			t.Errorf("%s should not hold %s", out, name)
		}
	}
	return files
}

// directories returns the directories that hold data files.
func directories(files map[string]int64) map[string]int {
	found := map[string]int{}
	for name := range files {
		found[filepath.Dir(name)]++
	}
	return found
}
