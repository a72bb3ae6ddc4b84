package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/sluice-engine/sluice/test/referee"
)

var (
	eventsMu sync.Mutex
	eventSet = map[string]string{} // "rows x files" → directory
)

// events returns a directory of the event landing data, made once per run and size. Tests must not
// change it.
func events(t *testing.T, rows, files int) string {
	t.Helper()
	eventsMu.Lock()
	defer eventsMu.Unlock()
	name := fmt.Sprintf("landing-%dx%d", rows, files)
	if dir, ok := eventSet[name]; ok {
		return dir
	}
	dir := filepath.Join(scratch, name)
	mustSluice(t, "gen", "events", "--out", dir, "--rows", strconv.Itoa(rows), "--files", strconv.Itoa(files))
	eventSet[name] = dir
	return dir
}

// input opens a dataset of the tests for the referee.
func input(t *testing.T, root string) *referee.Dataset {
	t.Helper()
	d, err := judge.Input(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sameRows lets the referee compare an input with an output partitioned by columns.
func sameRows(t *testing.T, in, out string, partitionBy ...string) {
	t.Helper()
	want := input(t, in)
	got, err := judge.Output(t.Context(), out, want, partitionBy...)
	if err != nil {
		t.Fatal(err)
	}
	if err := judge.Compare(t.Context(), want, got, partitionBy...); err != nil {
		t.Errorf("DuckDB: %v", err)
	}
	if err := judge.CompareSchemas(t.Context(), want.Files[0], got, partitionBy...); err != nil {
		t.Errorf("DuckDB: %v", err)
	}
}

// exactlySameRows compares small data row by row.
func exactlySameRows(t *testing.T, in, out string, partitionBy ...string) {
	t.Helper()
	want := input(t, in)
	got, err := judge.Output(t.Context(), out, want, partitionBy...)
	if err != nil {
		t.Fatal(err)
	}
	if err := judge.CompareExactly(t.Context(), want, got, partitionBy...); err != nil {
		t.Errorf("DuckDB: %v", err)
	}
	if err := judge.CompareSchemas(t.Context(), want.Files[0], got, partitionBy...); err != nil {
		t.Errorf("DuckDB: %v", err)
	}
}

// writeParquet lets DuckDB write the rows of a query to a file.
func writeParquet(t *testing.T, path, query string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := judge.Exec(t.Context(), fmt.Sprintf("COPY (%s) TO '%s' (FORMAT parquet)", query, path)); err != nil {
		t.Fatal(err)
	}
}
