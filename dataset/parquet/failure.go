package parquet

import (
	"errors"
	"fmt"
	"io"
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

// damage hides an io.EOF in the chain of an error: to callers of LeafReader.Next it means the end of
// the rows and nothing else, while a decoder that ran out of bytes met a damaged file.
type damage struct{ err error }

func (e *damage) Error() string        { return e.err.Error() }
func (e *damage) Is(target error) bool { return target != io.EOF && errors.Is(e.err, target) }
func (e *damage) As(target any) bool   { return errors.As(e.err, target) }

// inputFailure types an error about an input file and puts where it happened before it. A
// *model.Failure in the chain keeps its reason. The result is never io.EOF.
func inputFailure(where string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = &damage{err}
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
