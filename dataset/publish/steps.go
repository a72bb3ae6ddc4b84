package publish

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// atOnce limits renames, syncs and footer reads under way: waiting for storage is not work.
const atOnce = 64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Publisher carries out publish steps. Every step can be repeated after a crash or an error and is
// durable before the next. The steps of one job must not overlap; those of different jobs may.
type Publisher struct {
	FS vfs.FS
	// CountRows returns the rows of a data file by its footer.
	CountRows func(path string) (int64, error)
	// Hash reads files below a directory back for VerifyContent.
	Hash func(ctx context.Context, dir string, files []string, conf model.JobConf) (model.ContentHash, error)
}

// record is the publish record: what the job adds and removes.
type record struct {
	Job       model.JobID         `json:"job"`
	Side      string              `json:"side"`
	Manifests []model.ManifestRef `json:"manifests"` // add
	Remove    []plan.OldFile      `json:"remove"`
}

// Do carries out one step.
func (p *Publisher) Do(ctx context.Context, step core.PublishStepKind, a core.PublishArgs) (res core.PublishResult, err error) {
	l := layoutOf(p.FS, a.Conf)
	switch step {
	case core.StepRecord:
		res.Record, err = l.writeRecord(a)
	case core.StepRename:
		err = l.rename(ctx, a)
	case core.StepCheck:
		res, err = p.check(ctx, l, a)
	case core.StepCommit:
		err = l.putCommit()
	case core.StepFinish:
		res.Removed = int64(len(a.Old))
		err = l.finish(a.Old)
	case core.StepUndo:
		// A commit step that failed may have put its object all the same: then there is only forward.
		if res.Committed, err = exists(p.FS, l.commit()); err == nil && !res.Committed {
			err = l.undo(a.Manifests)
		}
	case core.StepCleanup:
		if a.Conf.StagingDir != "" {
			err = l.cleanup()
		}
	default:
		err = model.Failf(model.ReasonInternal, "unknown publish step %q", step)
	}
	return res, err
}

// writeRecord is step 1.
func (l layout) writeRecord(a core.PublishArgs) (core.RecordRef, error) {
	b, err := json.Marshal(record{Job: l.job, Side: l.side, Manifests: a.Manifests, Remove: a.Old})
	if err != nil {
		return core.RecordRef{}, err
	}
	if err := vfs.ReplaceFile(l.fs, l.record(), b); err != nil {
		return core.RecordRef{}, err
	}
	return core.RecordRef{Path: l.record(), Bytes: int64(len(b)), CRC: crc32.Checksum(b, castagnoli)}, nil
}

// readManifest returns the staged files of one attempt.
func (l layout) readManifest(m model.ManifestRef) ([]model.StagedFile, error) {
	b, err := vfs.ReadFile(l.fs, m.Path, maxControlFile)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != m.Bytes || crc32.Checksum(b, castagnoli) != m.CRC {
		return nil, model.Failf(model.ReasonCorruption, "manifest %s is damaged: its length or checksum is not the reported one", m.Path)
	}
	return ParseManifest(b)
}

// rename is step 2: every staged file gets its final name, durably. Before it, the output is listed
// once more: a file that arrived since the plan is a conflict, for it would be lost.
func (l layout) rename(ctx context.Context, a core.PublishArgs) error {
	if err := l.refuseLateFiles(a.Old); err != nil {
		return err
	}
	dirs := map[string]bool{}
	for _, m := range a.Manifests {
		files, err := l.readManifest(m)
		if err != nil {
			return err
		}
		for _, f := range files {
			for dir := filepath.Dir(filepath.Join(l.target(), f.Final)); !dirs[dir]; dir = filepath.Dir(dir) {
				dirs[dir] = true
				if dir == l.target() {
					break
				}
			}
		}
		if err := l.renameFiles(ctx, files); err != nil {
			return err
		}
	}
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for dir := range dirs {
		g.Go(func() error { return l.fs.SyncDir(dir) })
	}
	return g.Wait()
}

func (l layout) refuseLateFiles(old []plan.OldFile) error {
	if !l.swaps() {
		return nil // our own renamed files lie there too when the step is repeated; step 5 deletes by name only
	}
	now, err := listFiles(l.fs, l.out)
	if err != nil {
		return err
	}
	known := make(map[string]plan.OldFile, len(old))
	for _, f := range old {
		known[f.Path] = f
	}
	for _, f := range now {
		if known[f.Path] != f {
			return model.Failf(model.ReasonConflict,
				"%s in the output %s came or changed while the job ran: nothing was published; run the job again", f.Path, l.out)
		}
	}
	return nil
}

func (l layout) renameFiles(ctx context.Context, files []model.StagedFile) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, f := range files {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return l.renameFile(f)
		})
	}
	return g.Wait()
}

func (l layout) renameFile(f model.StagedFile) error {
	final := filepath.Join(l.target(), f.Final)
	info, err := l.fs.Lstat(f.Staged)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = l.fs.Lstat(final) // renamed before a crash
		if err == nil && info.Size() != f.Bytes {
			err = model.Failf(model.ReasonCorruption, "%s has %d bytes instead of %d", final, info.Size(), f.Bytes)
		}
		return err
	}
	if err != nil {
		return err
	}
	if info.Size() != f.Bytes {
		return model.Failf(model.ReasonCorruption, "staged file %s has %d bytes instead of %d", f.Staged, info.Size(), f.Bytes)
	}
	if err := l.fs.MkdirAll(filepath.Dir(final)); err != nil {
		return err
	}
	return l.fs.Rename(f.Staged, final)
}

// check is step 3: rows written, by the footers, must equal rows read.
func (p *Publisher) check(ctx context.Context, l layout, a core.PublishArgs) (core.PublishResult, error) {
	var files, rows, bytes atomic.Int64
	var names []string
	for _, m := range a.Manifests {
		staged, err := l.readManifest(m)
		if err != nil {
			return core.PublishResult{}, err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(2 * runtime.GOMAXPROCS(0))
		for _, f := range staged {
			names = append(names, f.Final)
			g.Go(func() error {
				if err := gctx.Err(); err != nil {
					return err
				}
				n, err := p.CountRows(filepath.Join(l.target(), f.Final))
				if err != nil {
					return model.Failf(model.ReasonVerification, "reading back: %w", err)
				}
				files.Add(1)
				rows.Add(n)
				bytes.Add(f.Bytes)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return core.PublishResult{}, err
		}
	}
	res := core.PublishResult{Files: files.Load(), Rows: rows.Load(), Bytes: bytes.Load()}
	if res.Rows != a.ExpectedRows {
		return res, model.Failf(model.ReasonVerification, "%d rows were read, but the %d new files hold %d: nothing was published", a.ExpectedRows, res.Files, res.Rows)
	}
	if a.Verify == model.VerifyContent {
		if err := p.checkContent(ctx, l, names, a); err != nil {
			return res, err
		}
		res.ByContent = true
	}
	return res, nil
}

func (p *Publisher) checkContent(ctx context.Context, l layout, files []string, a core.PublishArgs) error {
	got, err := p.Hash(ctx, l.target(), files, a.Conf)
	if err != nil {
		return model.Failf(model.ReasonVerification, "reading the new files back: %w", err)
	}
	want := a.ExpectedHash
	if got.Rows != want.Rows || got.RowSum != want.RowSum {
		for i, c := range want.Columns {
			if i < len(got.Columns) && got.Columns[i].Sum != c.Sum {
				return model.Failf(model.ReasonVerification, "the new files differ from the input in column %s: nothing was published", c.Name)
			}
		}
		return model.Failf(model.ReasonVerification, "the rows of the new files differ from the input's: nothing was published")
	}
	return nil
}

// putCommit is step 4, the commit point. Finding our own commit object is success.
func (l layout) putCommit() error {
	err := vfs.WriteFile(l.fs, l.commit(), []byte(l.job+"\n"))
	if errors.Is(err, fs.ErrExist) {
		return l.fs.SyncDir(l.control())
	}
	return err
}
