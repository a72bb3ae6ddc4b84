package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

func readReceipt(t *testing.T, path string) model.Receipt {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decode[model.Receipt](t, string(b))
}

// decode reads text that must be exactly one JSON document.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if d.More() {
		t.Fatalf("more than one document:\n%s", text)
	}
	return v
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestAJobFromDataToReceipt(t *testing.T) {
	t.Chdir(t.TempDir())
	made := decode[genResult](t, must(t, "gen", "events", "--out", "landing", "--rows", "3000", "--files", "6", "--types", "4", "-o", "json"))
	if made.Rows != 3000 || made.Files != 6 || made.Bytes == 0 || made.Out != "landing" {
		t.Errorf("gen events: %+v", made)
	}

	e := decode[plan.Explanation](t, must(t, "plan", "landing", "--partition-by", "type", "-o", "json"))
	if e.FilesOut != (plan.Figure{Value: 4, Kind: plan.Exact}) || e.RowsIn.Value != 3000 || filepath.Base(e.Out) != unnamedOut {
		t.Errorf("plan: %+v", e)
	}

	job := writeFile(t, "job.yaml", "input: [landing]\nout: mart\npartition_by: [type]\ntemp_dir: [temp]\nreceipt: receipt.json\n")
	r := decode[model.Receipt](t, must(t, "run", "-f", job, "-o", "json", "--verify", "content"))
	if r.State != model.JobSucceeded || r.RowsIn != 3000 || r.RowsOut != 3000 || r.Partitions != 4 || r.Verified != model.VerifyContent {
		t.Errorf("run: %+v", r)
	}
	if !filepath.IsAbs(r.Out) || !filepath.IsAbs(r.Input[0]) {
		t.Errorf("the receipt names %s and %s, want absolute paths", r.Out, r.Input)
	}
	if written := readReceipt(t, "receipt.json"); written.Job != r.Job || written.Hash.RowSum != r.Hash.RowSum {
		t.Errorf("the receipt's file tells of %s, stdout of %s", written.Job, r.Job)
	}

	if out := must(t, "verify", "landing", "mart"); !strings.HasPrefix(out, "equal: 3,000 rows, 20 columns, content hash ") {
		t.Errorf("verify: %s", out)
	}
	must(t, "gen", "events", "--out", "other", "--rows", "3000", "--files", "6", "--types", "4", "--seed", "2")
	if r := sluice(t, "verify", "other", "mart", "-o", "json"); r.code != exitDiffers || !strings.HasPrefix(r.stderr, "sluice: different: values differ in ") {
		t.Errorf("verify: %+v", r)
	}

	again := sluice(t, "repartition", "landing", "--partition-by", "type", "--out", "mart", "--temp-dir", "temp", "--receipt", "failed.json")
	if again.code != exitConflict || again.stdout != "" || strings.Count(again.stderr, "\n") != 1 || !strings.Contains(again.stderr, "--mode overwrite") {
		t.Errorf("a second job: %+v", again)
	}
	if f := readReceipt(t, "failed.json"); f.State != model.JobFailed || f.Failure == nil || f.Failure.Reason != model.ReasonConflict {
		t.Errorf("the failed job's receipt: %+v", f)
	}
	if out := must(t, "repartition", "landing", "--partition-by", "type", "--out", "mart", "--temp-dir", "temp", "--mode", "overwrite"); !strings.Contains(out, "rows          3,000 in, 3,000 out\n") {
		t.Errorf("overwrite: %s", out)
	}
	if left := entries(t, "temp"); len(left) > 0 {
		t.Errorf("left in --temp-dir: %v", left)
	}
}

func TestAnInterruptedJobLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, "gen", "events", "--out", "landing", "--rows", "1000", "--files", "2", "--types", "3")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := call{ctx: ctx, interrupted: true}.run(t, "repartition", "landing", "-n", "2", "--out", "mart", "--temp-dir", "temp", "--receipt", "r.json", "--log-level", "error")
	if r.code != exitInterrupted || r.stdout != "" || r.stderr != "sluice: interrupted\n" {
		t.Errorf("%+v", r)
	}
	if f := readReceipt(t, "r.json"); f.State != model.JobCancelled {
		t.Errorf("the receipt says %s", f.State)
	}
	if _, err := os.Stat("mart"); err == nil {
		t.Error("an output is left")
	}
	if left := entries(t, "temp"); len(left) > 0 {
		t.Errorf("left in --temp-dir: %v", left)
	}
}

func TestSeveralTempDirs(t *testing.T) {
	roomy, full := t.TempDir(), "/proc" // which has no space at all
	got, err := roomiest([]string{full, filepath.Join(roomy, "not", "there", "yet")})
	if err != nil || got != filepath.Join(roomy, "not", "there", "yet") {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := roomiest([]string{""}); err == nil {
		t.Error("an empty name is a mistake")
	}
}
