package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rowsOf stands for a footer: a data file of these tests has a row per byte.
func rowsOf(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// world is one output with a job that wants to replace its content.
type world struct {
	t      *testing.T
	fs     vfs.FS
	out    string
	job    model.JobID
	claim  *Claim
	args   core.PublishArgs
	inside bool // force the layout inside the output
}

var newFiles = map[string]string{"type=a/part-0.parquet": "aaaa", "type=b/part-0.parquet": "bb", "type=b/part-1.parquet": "b"}

func (w *world) prepare(mode model.Mode) error {
	c, p, err := Prepare(context.Background(), w.fs, w.job, "token", w.out, mode)
	if err != nil {
		return err
	}
	w.claim = c
	w.args = core.PublishArgs{Conf: model.JobConf{Job: w.job, Out: p.Out, StagingDir: p.StagingDir}, Old: p.Old, ExpectedRows: 7}
	if w.inside {
		dir := filepath.Join(p.Out, controlDir, sideName(w.job), controlDir, "stage")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			w.t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(p.StagingDir))); err != nil {
			w.t.Fatal(err)
		}
		w.args.Conf.StagingDir = dir
		c.body.Side = filepath.Dir(filepath.Dir(dir))
		if err := c.beat(); err != nil {
			return err
		}
	}
	return w.stage()
}

// stage does what executors do; it is not under test and uses the plain file system.
func (w *world) stage() error {
	var manifest []byte
	i := 0
	for _, final := range slices.Sorted(mapsKeys(newFiles)) {
		staged := filepath.Join(w.args.Conf.StagingDir, fmt.Sprintf("%d.tmp", i))
		i++
		if err := os.WriteFile(staged, []byte(newFiles[final]), 0o666); err != nil {
			return err
		}
		line, err := json.Marshal(model.StagedFile{Staged: staged, Final: final, Rows: int64(len(newFiles[final])), Bytes: int64(len(newFiles[final]))})
		if err != nil {
			return err
		}
		manifest = append(append(manifest, line...), '\n')
	}
	ref := model.ManifestRef{Path: filepath.Join(w.args.Conf.StagingDir, "m.manifest.tmp"), Bytes: int64(len(manifest)), CRC: crc32.Checksum(manifest, castagnoli)}
	w.args.Manifests = []model.ManifestRef{ref}
	return os.WriteFile(ref.Path, manifest, 0o666)
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var allSteps = []core.PublishStepKind{core.StepRecord, core.StepRename, core.StepCheck, core.StepCommit, core.StepFinish, core.StepCleanup}

func (w *world) publish() error {
	p := &Publisher{FS: w.fs, CountRows: rowsOf}
	for _, s := range allSteps {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			return err
		}
	}
	return w.claim.End()
}

func seed(t *testing.T, out string) {
	t.Helper()
	for name, data := range map[string]string{"type=a/old.parquet": "old", "deep/x=1/y.parquet": "older", "_SUCCESS": ""} {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// tree prints a directory as one line per file.
func tree(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		b, rerr := os.ReadFile(path)
		lines = append(lines, rel+"="+string(b))
		return rerr
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

const newTree = "_SUCCESS=\ntype=a/part-0.parquet=aaaa\ntype=b/part-0.parquet=bb\ntype=b/part-1.parquet=b"
const oldTree = "_SUCCESS=\ndeep/x=1/y.parquet=older\ntype=a/old.parquet=old"

func TestPublishNewAndOverwrite(t *testing.T) {
	for _, inside := range []bool{false, true} {
		for _, mode := range []model.Mode{model.ModeError, model.ModeOverwrite} {
			parent := t.TempDir()
			w := &world{t: t, fs: vfs.OS, out: filepath.Join(parent, "deep", "mart"), job: "j1", inside: inside}
			if mode == model.ModeOverwrite {
				seed(t, w.out)
			}
			if err := w.prepare(mode); err != nil {
				t.Fatal(err)
			}
			if err := w.publish(); err != nil {
				t.Fatal(err)
			}
			if got := tree(t, parent); got != "deep/mart/"+strings.ReplaceAll(newTree, "\n", "\ndeep/mart/") {
				t.Errorf("inside=%v %s:\n%s", inside, mode, got)
			}
		}
	}
}

func TestNonEmptyOutputIsAConflictAndStaysUntouched(t *testing.T) {
	out := t.TempDir()
	seed(t, out)
	w := &world{t: t, fs: vfs.OS, out: out, job: "j1"}
	err := w.prepare(model.ModeError)
	if f := model.AsFailure(err, ""); f.Reason != model.ReasonConflict {
		t.Fatalf("got %v", err)
	}
	if got := tree(t, out); got != oldTree {
		t.Errorf("output changed:\n%s", got)
	}
}

func TestSecondJobOnOneOutputIsAConflict(t *testing.T) {
	out := filepath.Join(t.TempDir(), "mart")
	first := &world{t: t, fs: vfs.OS, out: out, job: "j1"}
	if err := first.prepare(model.ModeError); err != nil {
		t.Fatal(err)
	}
	second := &world{t: t, fs: vfs.OS, out: out, job: "j2"}
	err := second.prepare(model.ModeOverwrite)
	if f := model.AsFailure(err, ""); f.Reason != model.ReasonConflict || !strings.Contains(f.Message, "j1") {
		t.Fatalf("got %v", err)
	}
	if err := first.publish(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) != 1 {
		t.Errorf("left beside the output: %v, %v", left, err)
	}
	if got := tree(t, out); got != newTree {
		t.Errorf("got:\n%s", got)
	}
}

func TestFailedJobLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	w := &world{t: t, fs: vfs.OS, out: filepath.Join(parent, "a", "b"), job: "j1"}
	if err := w.prepare(model.ModeError); err != nil {
		t.Fatal(err)
	}
	p := &Publisher{FS: w.fs, CountRows: rowsOf}
	w.args.ExpectedRows = 8
	for _, s := range []core.PublishStepKind{core.StepRecord, core.StepRename} {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.Do(context.Background(), core.StepCheck, w.args)
	if f := model.AsFailure(err, ""); f.Reason != model.ReasonVerification {
		t.Fatalf("a lost row must be found, got %v", err)
	}
	for _, s := range []core.PublishStepKind{core.StepUndo, core.StepCleanup} {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.claim.End(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 0 {
		t.Fatalf("left behind: %v %v", entries, err)
	}
}

func TestUndoAfterTheCommitPointUndoesNothing(t *testing.T) {
	out := t.TempDir()
	seed(t, out)
	w := &world{t: t, fs: vfs.OS, out: out, job: "j1"}
	if err := w.prepare(model.ModeOverwrite); err != nil {
		t.Fatal(err)
	}
	p := &Publisher{FS: w.fs, CountRows: rowsOf}
	for _, s := range allSteps[:4] {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			t.Fatal(err)
		}
	}
	res, err := p.Do(context.Background(), core.StepUndo, w.args)
	if err != nil || !res.Committed {
		t.Fatalf("undo after the commit point: %+v, %v", res, err)
	}
	for _, s := range allSteps[4:] {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.claim.End(); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, out); got != newTree {
		t.Errorf("got:\n%s", got)
	}
}

func TestAdoptedClaimGoesWithTheJob(t *testing.T) {
	for done := range len(allSteps) {
		w := &world{t: t, fs: vfs.OS, out: filepath.Join(t.TempDir(), "out"), job: "job-1"}
		seed(t, w.out)
		if err := w.prepare(model.ModeOverwrite); err != nil {
			t.Fatal(err)
		}
		p := &Publisher{FS: w.fs, CountRows: rowsOf}
		for _, s := range allSteps[:done] {
			if _, err := p.Do(context.Background(), s, w.args); err != nil {
				t.Fatal(err)
			}
		}
		// The coordinator dies here; the next one adopts the claim and repeats the last step.
		if err := w.claim.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.claim, err = Adopt(context.Background(), w.fs, w.args.Conf); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Prepare(context.Background(), w.fs, "job-2", "token", w.out, model.ModeOverwrite); model.AsFailure(err, "").Reason != model.ReasonConflict {
			t.Errorf("restarted after %d steps: another job gets %v, want a conflict", done, err)
		}
		for _, s := range allSteps[max(0, done-1):] {
			if _, err := p.Do(context.Background(), s, w.args); err != nil {
				t.Fatalf("restarted after %d steps: %s: %v", done, s, err)
			}
		}
		if err := w.claim.End(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(w.out, controlDir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("restarted after %d steps: %s stayed: %v\n%s", done, controlDir, err, tree(t, w.out))
		}
	}
}

func TestLateFileStopsAnOverwrite(t *testing.T) {
	out := t.TempDir()
	seed(t, out)
	w := &world{t: t, fs: vfs.OS, out: out, job: "j1"}
	if err := w.prepare(model.ModeOverwrite); err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(out, "type=a", "late.parquet")
	if err := os.WriteFile(late, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	p := &Publisher{FS: vfs.OS, CountRows: rowsOf}
	_, err := p.Do(context.Background(), core.StepRename, w.args)
	if f := model.AsFailure(err, ""); f.Reason != model.ReasonConflict {
		t.Fatalf("got %v", err)
	}
	for _, s := range []core.PublishStepKind{core.StepUndo, core.StepCleanup} {
		if _, err := p.Do(context.Background(), s, w.args); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.claim.End(); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, out); got != "_SUCCESS=\ndeep/x=1/y.parquet=older\ntype=a/late.parquet=x\ntype=a/old.parquet=old" {
		t.Errorf("got:\n%s", got)
	}
}

// TestCrashAtEveryStep stops the process at every file operation of a publication (a fault stands for
// the crash: nothing after it runs) and lets the next job take over. The output must then be the old
// or the new one, whole, with no leftovers; once the commit object is there, only the new one.
func TestCrashAtEveryStep(t *testing.T) {
	for _, inside := range []bool{false, true} {
		committed := 0
		for failAt := int64(0); ; failAt++ {
			parent := t.TempDir()
			out := filepath.Join(parent, "mart")
			seed(t, out)
			fault := &vfs.FaultFS{FS: vfs.OS, FailAt: 1 << 60}
			w := &world{t: t, fs: fault, out: out, job: "j1", inside: inside}
			if err := w.prepare(model.ModeOverwrite); err != nil {
				t.Fatal(err)
			}
			crash := &crashFS{FaultFS: &vfs.FaultFS{FS: vfs.OS, FailAt: failAt}}
			w.fs = crash
			w.claim.fs = crash
			err := w.publish()
			if err := w.claim.Close(); err != nil && !errors.Is(err, vfs.ErrInjected) {
				t.Fatal(err)
			}
			if !crash.Fired() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if err == nil {
				t.Fatalf("inside=%v: the fault at %d was swallowed", inside, failAt)
			}
			next := &world{t: t, fs: vfs.OS, out: out, job: "j2"}
			if err := next.prepare(model.ModeOverwrite); err != nil {
				t.Fatalf("inside=%v, crash at %d: take over: %v", inside, failAt, err)
			}
			p := &Publisher{FS: vfs.OS}
			if _, err := p.Do(context.Background(), core.StepCleanup, next.args); err != nil {
				t.Fatal(err)
			}
			if err := next.claim.End(); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(tree(t, parent), "mart/", "")
			switch {
			case got == newTree:
				committed++
			case got != oldTree:
				t.Fatalf("inside=%v, crash at %d: a mixture or leftovers:\n%s", inside, failAt, got)
			case committed > 0:
				t.Fatalf("inside=%v, crash at %d: went back to the old data after the commit point", inside, failAt)
			}
		}
		if committed == 0 {
			t.Error("no crash point lay after the commit point")
		}
	}
}

// crashFS fails everything after its fault fired: the process is dead.
type crashFS struct{ *vfs.FaultFS }

func (c *crashFS) dead() error {
	if c.Fired() {
		return vfs.ErrInjected
	}
	return nil
}

func (c *crashFS) Remove(name string) error {
	if err := c.dead(); err != nil {
		return err
	}
	return c.FaultFS.Remove(name)
}

func (c *crashFS) RemoveAll(name string) error {
	if err := c.dead(); err != nil {
		return err
	}
	return c.FaultFS.RemoveAll(name)
}

func (c *crashFS) Rename(a, b string) error {
	if err := c.dead(); err != nil {
		return err
	}
	return c.FaultFS.Rename(a, b)
}
