package parallel

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachRunsEveryUnitOnce(t *testing.T) {
	for _, threads := range []int{0, 1, 3, 100} {
		var ran [50]atomic.Int32
		err := Each(t.Context(), threads, len(ran), func(i int) error {
			ran[i].Add(1)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range ran {
			if n := ran[i].Load(); n != 1 {
				t.Errorf("%d threads: unit %d ran %d times", threads, i, n)
			}
		}
	}
}

func TestEachReturnsTheFirstFailureAndBeginsNoMore(t *testing.T) {
	begun := 0
	err := Each(t.Context(), 1, 10, func(i int) error {
		begun++
		if i == 3 {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || begun != 4 {
		t.Errorf("got %v after %d units", err, begun)
	}
}

func TestEachRecoversPanics(t *testing.T) {
	err := Each(t.Context(), 4, 8, func(i int) error {
		if i == 2 {
			panic(io.EOF)
		}
		return nil
	})
	var p *PanicError
	if !errors.As(err, &p) || len(p.Stack) == 0 || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestEachHonoursCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := 0
	err := Each(ctx, 1, 10, func(i int) error {
		begun++
		if i == 4 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || begun != 5 {
		t.Errorf("got %v after %d units", err, begun)
	}
	if err := Each(ctx, 2, 0, nil); err != nil {
		t.Errorf("no units: %v", err)
	}
}
