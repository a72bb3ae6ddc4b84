// Package transport carries words between processes: executor sessions, the jobs API, the rules for
// listening, dialling and tokens, over gRPC or, for sessions, inside one process.
package transport

import (
	"context"
	"errors"

	"github.com/sluice-engine/sluice/coordinator/core"
)

// UpMessage is what an executor says: core.Register, core.Heartbeat, core.MapFinished,
// core.WriteFinished, core.AttemptFailed or core.Leaving; Send refuses every other event. The Session
// fields do not travel: the coordinator's shell, which names the streams, sets them.
type UpMessage = core.Event

// ErrSessionClosed is what Send and Recv return after this side's own Close.
var ErrSessionClosed = errors.New("the session is closed")

// ExecutorSession is an executor's end of its session with the coordinator.
//
// Send, Recv and Close may be called from different goroutines, but not Send beside Send or Recv
// beside Recv. Messages arrive in the order in which they were sent.
//
// What both ends share: a message is lost only if the session breaks. A message must not be changed
// once it was sent.
type ExecutorSession interface {
	// Send hands a message to the session; it blocks while the other side does not read. An error
	// means that the session is over, and messages sent before may not have arrived. A message that
	// an executor does not say is an error and leaves the session as it was.
	Send(m UpMessage) error
	// Recv waits for the next message. io.EOF: the coordinator ended the session in order, and all
	// that it had sent was received. Every other error: the session broke.
	Recv() (core.Message, error)
	// Close ends the session. What was sent before is delivered first (for at most a few seconds);
	// the coordinator then receives io.EOF. When it returns nothing of the session runs any more.
	// It may be repeated. Whoever opened a session closes it, also after an error.
	Close() error
}

// CoordinatorSession is the coordinator's end. The rules are those of ExecutorSession.
type CoordinatorSession interface {
	Send(m core.Message) error
	// Recv returns io.EOF after the executor closed its end, an error after the session broke.
	Recv() (UpMessage, error)
	// Close makes this end's calls fail with ErrSessionClosed. Once ServeSession has returned too, the
	// executor receives what was sent before, then io.EOF.
	Close() error
	// Context ends with the session.
	Context() context.Context
	// Peer names the executor's end for logs.
	Peer() string
}

// SessionDialer opens sessions to a coordinator, one after another. The session breaks when ctx ends.
type SessionDialer interface {
	OpenSession(ctx context.Context) (ExecutorSession, error)
}

// SessionBackend is what the coordinator's shell does with sessions.
type SessionBackend interface {
	// ServeSession runs one session and returns when it is over; returning ends the session as Close
	// does. It is called in a goroutine of its own for each session, and nobody may use the session
	// after it returned.
	ServeSession(s CoordinatorSession)
	// Discover says what a joining process must know.
	Discover(ctx context.Context) (Discovery, error)
}

// Discovery is what a joining process must know beside the one address that it was given.
type Discovery struct {
	ClusterID string
	// GossipAddr is host:port of a member to join; an empty host is the host that was asked.
	GossipAddr string
	Version    string
}
