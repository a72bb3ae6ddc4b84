package transport

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/proto/wire"
)

// ErrNoJob says that the coordinator does not know the job. Backends wrap it, clients find it with
// errors.Is.
var ErrNoJob = errors.New("no such job")

// ErrUnauthenticated says that the other end refused the token, or the lack of one.
var ErrUnauthenticated = errors.New("the token was refused: give the cluster's token with --token-file or SLUICE_TOKEN")

// ErrUnavailable says that nobody answers at the address.
var ErrUnavailable = errors.New("cannot be reached")

// toStatus makes an error that crosses the wire: a failure travels whole as the status detail, and
// its reason chooses a code for people who look at the status alone.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var f *model.Failure
	var spec *model.SpecError
	switch {
	case errors.As(err, &f):
		return failureStatus(model.AsFailure(err, f.Reason))
	case errors.As(err, &spec):
		return failureStatus(model.AsFailure(err, model.ReasonUser))
	case errors.Is(err, ErrNoJob):
		return wire.Status(codes.NotFound, err.Error()).Err()
	case errors.Is(err, context.Canceled):
		return wire.Status(codes.Canceled, err.Error()).Err()
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Status(codes.DeadlineExceeded, err.Error()).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return failureStatus(model.AsFailure(err, model.ReasonInternal))
}

func failureStatus(f *model.Failure) error { return wire.FailureStatus(reasonCode(f.Reason), *f) }

func reasonCode(r model.Reason) codes.Code {
	switch r {
	case model.ReasonUser, model.ReasonInput:
		return codes.InvalidArgument
	case model.ReasonConflict:
		return codes.AlreadyExists
	case model.ReasonFetchFailed, model.ReasonCorruption, model.ReasonVerification:
		return codes.DataLoss
	case model.ReasonDiskFull, model.ReasonOutOfMemory:
		return codes.ResourceExhausted
	case model.ReasonKilled:
		return codes.Aborted
	case model.ReasonExecutorLost, model.ReasonNoExecutors:
		return codes.Unavailable
	}
	return codes.Internal
}

// statusError keeps a status below a sentence and a sentinel.
type statusError struct {
	text     string
	sentinel error
	st       *status.Status
}

func (e *statusError) Error() string              { return e.text }
func (e *statusError) Unwrap() error              { return e.sentinel }
func (e *statusError) GRPCStatus() *status.Status { return e.st }

// fromStatus is the inverse: a failure comes back as a *model.Failure, the rest as errors that say
// what to do. io.EOF and errors that are no status pass through.
func fromStatus(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	if f, ok := wire.StatusFailure(st); ok {
		return &f
	}
	e := &statusError{text: st.Message(), st: st}
	switch st.Code() {
	case codes.NotFound:
		e.sentinel = ErrNoJob
	case codes.Unauthenticated:
		e.text, e.sentinel = ErrUnauthenticated.Error(), ErrUnauthenticated
	case codes.Unavailable:
		e.text, e.sentinel = fmt.Sprintf("%v: %s", ErrUnavailable, st.Message()), ErrUnavailable
	case codes.Canceled:
		e.sentinel = context.Canceled
	case codes.DeadlineExceeded:
		e.sentinel = context.DeadlineExceeded
	default:
		e.text = fmt.Sprintf("%s: %s", st.Code(), st.Message())
	}
	return e
}
