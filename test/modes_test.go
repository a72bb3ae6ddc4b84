package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallData writes n rows with the columns id, kind (three values), and word, from the given id on.
func smallData(t *testing.T, from, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	writeParquet(t, filepath.Join(dir, "a.parquet"),
		fmt.Sprintf("SELECT i::INTEGER AS id, 'kind ' || i %% 3 AS kind, 'word ' || i AS word FROM range(%d, %d) t(i)", from, from+n))
	return dir
}

func TestOutputThatHoldsDataIsAConflict(t *testing.T) {
	j := newJob(t)
	j.mustRepartition(t, smallData(t, 0, 100), "--partition-by", "kind")
	before := contents(t, j.out)

	r := j.repartition(t, smallData(t, 1000, 100), "--partition-by", "kind", "--progress", "none")
	r.mustExit(t, 4)
	oneClearLine(t, r, j.out)
	if !maps.Equal(before, contents(t, j.out)) {
		t.Error("the output is not what it was")
	}
	j.leftNothing(t)
}

func TestOverwriteReplacesAllOldFiles(t *testing.T) {
	j := newJob(t)
	first := j.mustRepartition(t, smallData(t, 0, 100), "--partition-by", "word")
	// Files of others are data too, and a neighbour is none of our business.
	writeParquet(t, filepath.Join(j.out, "kind=other", "foreign.parquet"), "SELECT 1 AS id")
	before := tree(t, j.out)

	in := smallData(t, 1000, 300)
	r := j.mustRepartition(t, in, "--partition-by", "kind", "--mode", "overwrite")
	exactlySameRows(t, in, j.out, "kind")
	if files := dataFiles(t, j.out, 1); len(files) != 3 {
		t.Errorf("want three files, got %v", files)
	}
	for name := range tree(t, j.out) {
		if _, old := before[name]; old && name != "_SUCCESS" {
			t.Errorf("%s is of the old output", name)
		}
	}
	if want := first.FilesOut + 1; r.FilesRemoved != want {
		t.Errorf("the receipt says that %d old files were removed, want %d", r.FilesRemoved, want)
	}
	if r.RowsOut != 300 {
		t.Errorf("%d rows out, want 300", r.RowsOut)
	}
}

func TestOverwriteOfNothingIsANewOutput(t *testing.T) {
	j := newJob(t)
	in := smallData(t, 0, 100)
	j.mustRepartition(t, in, "--partition-by", "kind", "--mode", "overwrite")
	exactlySameRows(t, in, j.out, "kind")
}

func TestOverwriteThatFailsLeavesTheOldOutput(t *testing.T) {
	j := newJob(t)
	j.mustRepartition(t, smallData(t, 0, 100), "--partition-by", "kind")
	before := contents(t, j.out)

	in := smallData(t, 1000, 100)
	path := filepath.Join(in, "a.parquet")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(in, "b.parquet"), text[:len(text)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	r := j.repartition(t, in, "--partition-by", "kind", "--mode", "overwrite", "--progress", "none")
	r.mustExit(t, 1)
	oneClearLine(t, r, "b.parquet")
	if !maps.Equal(before, contents(t, j.out)) {
		t.Error("the output is not what it was")
	}
	j.leftNothing(t)
}

func TestOutputThatIsTheInputIsRefused(t *testing.T) {
	j := newJob(t)
	j.mustRepartition(t, smallData(t, 0, 1000), "--by", "id", "-n", "7")
	before := contents(t, j.out)
	for _, in := range []string{j.out, filepath.Join(j.out, "*.parquet")} {
		r := j.repartition(t, in, "--by", "word", "-n", "3", "--mode", "overwrite", "--progress", "none")
		r.mustExit(t, 2)
		oneClearLine(t, r, j.out, "--out")
	}
	if !maps.Equal(before, contents(t, j.out)) {
		t.Error("the output is not what it was")
	}
	j.leftNothing(t)
}

func TestAFileThatArrivesDuringAnOverwriteIsNotLost(t *testing.T) {
	j := newJob(t)
	j.mustRepartition(t, smallData(t, 0, 100), "--partition-by", "kind")
	before := contents(t, j.out)

	p := start(t, commandDeadline, j.arguments(events(t, eventRows, eventFiles), "--partition-by", "type", "--mode", "overwrite")...)
	waitForWork(t, p, j, "fused")
	late := filepath.Join(j.out, "late.parquet")
	if err := os.WriteFile(late, []byte("arrived late"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := p.wait()
	if text, err := os.ReadFile(late); err != nil || string(text) != "arrived late" {
		t.Errorf("the file that arrived while the job ran is lost: %v", err)
	}
	r.mustExit(t, 4)
	if !strings.Contains(r.stderr, "late.parquet") {
		t.Errorf("the error does not name late.parquet:\n%s", r.stderr)
	}
	after := contents(t, j.out)
	delete(after, "late.parquet")
	if !maps.Equal(before, after) {
		t.Error("the output is not what it was")
	}
}

// waitForWork waits until a job in one process is at work: it is planned, and holds its claim. With staged
// execution it waits for the first map output as well.
func waitForWork(t *testing.T, p *process, j job, execution string) {
	t.Helper()
	sign, below := "/share-token.tmp", filepath.Dir(j.out)
	if execution == "staged" {
		sign, below = ".index", j.temp
	}
	waitFor(t, "a file *"+sign, stateDeadline, func() (bool, string) {
		if !p.running() {
			t.Fatalf("the job ended too early\n%s", p.wait())
		}
		for name := range tree(t, below) {
			if strings.HasSuffix(name, sign) {
				return true, ""
			}
		}
		return false, "none in " + below
	})
}

// executions are how a job in one process can run.
var executions = []string{"fused", "staged"}
