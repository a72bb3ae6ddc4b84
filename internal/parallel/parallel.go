// Package parallel runs independent units of work on a fixed number of goroutines, and turns their
// panics into errors.
package parallel

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// PanicError is a recovered panic. A panic in a goroutine that nobody recovers ends the process, so
// every goroutine that touches data from outside defers Recover.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recover is deferred; it stores a panic as a *PanicError in err, which must be the named result of
// the deferring function.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

// Each calls unit(0) … unit(n-1) on at most threads goroutines and returns when none of them runs
// any more. Units are begun in order; after a failure, or when ctx is done, no further one is
// begun. Of several failures the one with the lowest number is returned.
func Each(ctx context.Context, threads, n int, unit func(i int) error) error {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex // guards the rest; never held while a unit runs
		next     int
		failed   = n
		firstErr error
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if firstErr != nil || next == n || ctx.Err() != nil {
			return 0, false
		}
		next++
		return next - 1, true
	}
	work := func() {
		for i, ok := take(); ok; i, ok = take() {
			if err := call(unit, i); err != nil {
				mu.Lock()
				if i < failed {
					failed, firstErr = i, err
				}
				mu.Unlock()
			}
		}
	}
	for range min(threads, n) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if firstErr == nil && next < n {
		return context.Cause(ctx)
	}
	return firstErr
}

func call(unit func(int) error, i int) (err error) {
	defer Recover(&err)
	return unit(i)
}
