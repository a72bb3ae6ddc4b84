package core

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the core's limits. The zero value of a field means its default.
type Config struct {
	// Lease is how long an executor may be silent. Default 10 s. Too short: an executor that is only
	// busy, or paused for a moment, loses its work. Too long: the work of a machine that vanished without
	// closing its connections stands still for that long.
	Lease time.Duration
	// ReconnectGrace is how long an executor whose stream broke has to come back on another one.
	// Default 2 s. Too short: a network hiccup or a restarted proxy costs running work. Too long: so
	// long does a killed process's work wait.
	ReconnectGrace time.Duration
	// NoExecutorGrace is how long a running job waits when there is no executor at all, before it
	// fails. Default 60 s. Too short: a job submitted before its executors start fails. Too long: a
	// person waits for a job that cannot run.
	NoExecutorGrace time.Duration
}

// Defaults of a Config.
const (
	DefaultLease           = 10 * time.Second
	DefaultReconnectGrace  = 2 * time.Second
	DefaultNoExecutorGrace = 60 * time.Second
)

// Limits that nobody needs to set.
const (
	maxEndedJobs     = 1000     // ended jobs that are remembered
	maxLostExecutors = 256      // lost executors that are remembered
	maxFailureText   = 16 << 10 // bytes of a failure's message that are kept
)

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.Lease, DefaultLease)
	set(&c.ReconnectGrace, DefaultReconnectGrace)
	set(&c.NoExecutorGrace, DefaultNoExecutorGrace)
	return c
}

// Validate refuses contradictions; zero fields are their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, f := range []struct {
		name string
		v    time.Duration
	}{{"lease", c.Lease}, {"reconnect grace", c.ReconnectGrace}, {"no-executor grace", c.NoExecutorGrace}} {
		if f.v < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s %v: want at least 1ms", f.name, f.v))
		}
	}
	if c.ReconnectGrace > c.Lease {
		errs = append(errs, fmt.Errorf("reconnect grace %v is longer than the lease %v, which ends it", c.ReconnectGrace, c.Lease))
	}
	return errors.Join(errs...)
}
