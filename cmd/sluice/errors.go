package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/nearest"
	"github.com/sluice-engine/sluice/dataset/gen"
	"github.com/sluice-engine/sluice/model"
)

// Exit codes; they are part of the contract and never change.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDiffers     = 3
	exitConflict    = 4
	exitInterrupted = 130
)

// usageError is a mistake in the command line, the environment or a job file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// differsError says how two datasets differ that `verify` compared.
type differsError struct{ summary string }

func (e differsError) Error() string { return e.summary }

// exitCode turns the end of a verb into the process's exit code.
func (a *app) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if a.interrupted() && endedByInterrupt(err) {
		return exitInterrupted
	}
	var usage usageError
	var spec *model.SpecError
	var f *model.Failure
	var differs differsError
	switch {
	case errors.As(err, &usage), errors.As(err, &spec):
		return exitUsage
	case errors.Is(err, gen.ErrNotEmpty):
		return exitConflict
	case errors.As(err, &differs):
		return exitDiffers
	case errors.As(err, &f):
		return reasonCode(f.Reason)
	}
	return exitFailed
}

// endedByInterrupt tells an end that the signal brought about from a failure that came before it.
func endedByInterrupt(err error) bool {
	var f *model.Failure
	if errors.As(err, &f) {
		return f.Reason == model.ReasonKilled
	}
	return errors.Is(err, context.Canceled)
}

func reasonCode(r model.Reason) int {
	switch r {
	case model.ReasonUser:
		return exitUsage
	case model.ReasonConflict:
		return exitConflict
	case model.ReasonVerification:
		return exitDiffers
	}
	return exitFailed
}

// report prints an error on stderr, one line for each of several mistakes.
func (a *app) report(err error) {
	if err == nil {
		return
	}
	interrupted := a.interrupted()
	said := false
	for _, e := range each(err) {
		if interrupted && endedByInterrupt(e) {
			if !said {
				a.stderr.Line("sluice: interrupted")
			}
			said = true
			continue
		}
		for line := range strings.Lines(e.Error()) {
			if line = strings.TrimSpace(line); line != "" {
				a.stderr.Line("sluice: %s", line)
			}
		}
	}
}

// each takes apart what errors.Join put together.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, each(e)...)
	}
	return all
}

// flagError rewords pflag's errors: the flag first, then what is wrong, then the nearest flag there is.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return unknownFlag(c, unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		return usagef("unknown flag -%s: `%s --help` lists the flags", unknown.GetSpecifiedName(), c.CommandPath())
	case errors.As(err, &invalid):
		return usagef("%s: %w", spelling(invalid.GetFlag()), plainCause(invalid))
	case errors.As(err, &missing):
		return usagef("%s needs a value", spelling(missing.GetFlag()))
	}
	return usageError{err}
}

func unknownFlag(c *cobra.Command, name string) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near, ok := nearest.Of(name, names); ok {
		return usagef("unknown flag --%s: did you mean %s?", name, spelling(c.Flags().Lookup(near)))
	}
	return usagef("unknown flag --%s: `%s --help` lists the flags", name, c.CommandPath())
}

// plainCause drops the Go function names that strconv puts before its errors.
func plainCause(e *pflag.InvalidValueError) error {
	switch t := e.GetFlag().Value.Type(); {
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return fmt.Errorf("%q is not a whole number", e.GetValue())
	case t == "bool":
		return fmt.Errorf("%q: want true or false", e.GetValue())
	}
	return e.Unwrap()
}

// spelling is the flag as users write it.
func spelling(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// verbOf is a command without the program's name, which stands before every error already.
func verbOf(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), "sluice ") }

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", verbOf(c), args[0])
	}
	return nil
}

// exactArgs wants one argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s: %s is missing", verbOf(c), names[len(args)])
		}
		if len(args) > len(names) {
			return usagef("%s: one argument too many: %q", verbOf(c), args[len(names)])
		}
		return nil
	}
}
