package runner

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/block"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// classify makes the typed failure of an attempt. A failure that was typed where it happened keeps
// its reason, unless the attempt was cancelled or the disk was full underneath.
func classify(ctx context.Context, attempt model.AttemptID, err error) *model.Failure {
	var (
		typed  *model.Failure
		panics *parallel.PanicError
	)
	switch {
	case ctx.Err() != nil:
		return model.Failf(model.ReasonKilled, "attempt %s was cancelled: %w", attempt, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return model.Failf(model.ReasonDiskFull, "attempt %s: the disk is full: %w", attempt, err)
	case errors.As(err, &typed):
		return model.AsFailure(err, typed.Reason)
	case errors.As(err, &panics):
		return model.Failf(model.ReasonInternal, "attempt %s: a mistake in sluice, please report it: %w", attempt, err)
	case errors.Is(err, block.ErrCorrupt), errors.Is(err, store.ErrCorrupt):
		return model.Failf(model.ReasonCorruption, "attempt %s: %w", attempt, err)
	}
	return model.Failf(model.ReasonIO, "attempt %s: %w", attempt, err)
}
