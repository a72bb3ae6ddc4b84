package parquet

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"github.com/sluice-engine/sluice/model"
)

// recoverInto turns a panic of arrow-go into an error that begins with what was being done. It must
// be deferred directly. Runtime errors in arrow-go are caused by bytes that it did not check, so
// they too are the file's fault; the stack is kept for the log.
func recoverInto(err *error, doing string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %w", doing, &Panic{Value: p, Stack: debug.Stack()})
	}
}

// Panic is the cause of a failure that arrow-go reported by panicking.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprint(p.Value) }

// Unwrap returns the error that was thrown, if it was one.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// readError marks an error of the file system, which another attempt may not meet. What is wrong
// with the bytes themselves stays wrong.
type readError struct{ err error }

func (e *readError) Error() string { return "reading: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// inputFailure types an error about an input file and puts where it happened before it. A
// *model.Failure in the chain keeps its reason.
func inputFailure(where string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", where, err)
	var (
		read *readError
		f    *model.Failure
	)
	if !errors.As(err, &f) && errors.As(err, &read) && !permanent(err) {
		return model.AsFailure(wrapped, model.ReasonIO)
	}
	return model.AsFailure(wrapped, model.ReasonInput)
}

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}
