package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
)

// interrupts turns the first signal into the end of a context and the second into the end of the
// process.
type interrupts struct {
	signals  chan os.Signal
	done     chan struct{}
	ended    chan struct{}
	received atomic.Bool
}

// handleSignals begins to listen for Ctrl-C, SIGTERM and the end of the terminal. The first ends the
// context: the verb stops what runs and leaves nothing behind. Who does not want to wait for that
// sends a second.
func handleSignals(ctx context.Context, stderr *ui.Console) (context.Context, *interrupts) {
	ctx, cancel := context.WithCancel(ctx)
	in := &interrupts{signals: make(chan os.Signal, 2), done: make(chan struct{}), ended: make(chan struct{})}
	listen := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) { // nohup asks not to end with the terminal
		listen = append(listen, unix.SIGHUP)
	}
	signal.Notify(in.signals, listen...)
	go func() {
		defer close(in.ended)
		defer cancel()
		select {
		case <-in.signals:
		case <-in.done:
			return
		}
		in.received.Store(true)
		stderr.Interrupted("sluice: stopping and cleaning up; a second signal leaves at once")
		cancel()
		select {
		case <-in.signals:
			os.Exit(exitInterrupted)
		case <-in.done:
		}
	}()
	return ctx, in
}

// seen reports whether a signal came.
func (in *interrupts) seen() bool { return in.received.Load() }

// stop ends the listening.
func (in *interrupts) stop() {
	signal.Stop(in.signals)
	close(in.done)
	<-in.ended
}
