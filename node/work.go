package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/dataset/publish"
	"github.com/sluice-engine/sluice/dataset/survey"
	"github.com/sluice-engine/sluice/dataset/verify"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// work is what a coordinator has done outside its loop: it surveys inputs, claims outputs and
// publishes.
type work struct {
	fs vfs.FS
	// allow are the paths that jobs may name; empty means all.
	allow     []string
	execution model.Execution // of the jobs that are planned here
	publisher publish.Publisher

	mu     sync.Mutex // guards claims
	claims map[model.JobID]*publish.Claim
}

func newWork(fsys vfs.FS, allow []string, threads int, execution model.Execution) *work {
	w := &work{fs: fsys, allow: allow, execution: execution, claims: map[model.JobID]*publish.Claim{}}
	w.publisher = publish.Publisher{
		FS: fsys,
		CountRows: func(path string) (rows int64, err error) {
			f, err := parquet.Open(fsys, path)
			if err != nil {
				return 0, err
			}
			return f.NumRows(), f.Close()
		},
		Hash: func(ctx context.Context, dir string, files []string, conf model.JobConf) (model.ContentHash, error) {
			like, _, err := parquet.DecodeSchema(conf.InputSchema)
			if err != nil {
				return model.ContentHash{}, err
			}
			return verify.Hash(ctx, fsys, dir, files, like, threads)
		},
	}
	return w
}

// Plan implements coordinator.Work.
func (w *work) Plan(ctx context.Context, a core.PlanJob, slots int) (plan.Job, error) {
	if err := w.allowed(a.Spec); err != nil {
		return plan.Job{}, err
	}
	s, err := survey.Look(ctx, w.fs, a.Spec)
	if err != nil {
		return plan.Job{}, err
	}
	j, err := s.Job(a.Job, a.UUID, slots, w.execution)
	if err != nil {
		return plan.Job{}, err
	}
	claim, p, err := publish.Prepare(ctx, w.fs, a.Job, uuid.NewString(), s.Spec.Out, s.Spec.Mode)
	if err != nil {
		return plan.Job{}, err
	}
	w.keep(a.Job, claim)
	j.Conf.Out, j.Conf.StagingDir, j.Conf.ShareToken, j.Old = p.Out, p.StagingDir, p.ShareToken, p.Old
	return j, nil
}

// allowed refuses paths outside what the coordinator lets jobs touch.
func (w *work) allowed(s model.JobSpec) error {
	if len(w.allow) == 0 {
		return nil
	}
	for _, path := range append([]string{s.Out}, s.Input...) {
		if !w.isAllowed(filepath.Clean(path)) {
			return model.Failf(model.ReasonUser, "%s lies outside of what this coordinator allows (--allow %s)", path, strings.Join(w.allow, ", "))
		}
	}
	return nil
}

func (w *work) isAllowed(path string) bool {
	for _, a := range w.allow {
		a = filepath.Clean(a)
		if path == a || a == "/" || strings.HasPrefix(path, a+"/") {
			return true
		}
	}
	return false
}

// Publish implements coordinator.Work. After the last step the claim ends.
func (w *work) Publish(ctx context.Context, step core.PublishStepKind, args core.PublishArgs) (core.PublishResult, error) {
	res, err := w.publisher.Do(ctx, step, args)
	if err != nil || step != core.StepCleanup {
		return res, err
	}
	w.mu.Lock()
	claim := w.claims[args.Conf.Job]
	delete(w.claims, args.Conf.Job)
	w.mu.Unlock()
	if claim == nil {
		return res, nil
	}
	if err := claim.End(); err != nil {
		return res, fmt.Errorf("ending the claim on %s: %w", args.Conf.Out, err)
	}
	return res, nil
}

// Adopt implements coordinator.Work.
func (w *work) Adopt(ctx context.Context, conf model.JobConf) error {
	claim, err := publish.Adopt(ctx, w.fs, conf)
	if err != nil {
		return err
	}
	w.keep(conf.Job, claim)
	return nil
}

func (w *work) keep(job model.JobID, c *publish.Claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims[job] = c
}

// Close lets the claims go without ending them: the next coordinator finds them dead, or its own.
func (w *work) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for job, c := range w.claims {
		errs = append(errs, c.Close())
		delete(w.claims, job)
	}
	return errors.Join(errs...)
}
