package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
)

// envFlags are the flags that the environment may set: those that say where and with what a process
// works. What a job does is said by flags and job files only.
var envFlags = map[string]string{
	"coordinator":  "SLUICE_COORDINATOR",
	"token-file":   "SLUICE_TOKEN_FILE",
	"memory-limit": "SLUICE_MEMORY_LIMIT",
	"temp-dir":     "SLUICE_TEMP_DIR",
	"threads":      "SLUICE_THREADS",
	"slots":        "SLUICE_SLOTS",
	"log-level":    "SLUICE_LOG_LEVEL",
	"progress":     "SLUICE_PROGRESS",
}

// envKey marks a flag that got its value from the environment: it is stronger than a job file and
// weaker than the command line.
const envKey = "sluice_from_environment"

// fromEnvironment sets the flags that were not given from their variables. An empty variable is none.
func (a *app) fromEnvironment(fs *pflag.FlagSet) (err error) {
	fs.VisitAll(func(f *pflag.Flag) {
		name, ok := envFlags[f.Name]
		if !ok || f.Changed || err != nil {
			return
		}
		v := strings.TrimSpace(a.getenv(name))
		if v == "" {
			return
		}
		if serr := fs.Set(f.Name, v); serr != nil {
			err = usagef("%s=%q: %s", name, v, firstCause(serr))
			return
		}
		err = fs.SetAnnotation(f.Name, envKey, []string{name})
	})
	return err
}

// firstCause is what the flag's own parser said.
func firstCause(err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return plainCause(invalid).Error()
	}
	return err.Error()
}

// givenByUser reports whether a flag stands on the command line.
func givenByUser(f *pflag.Flag) bool { return f != nil && f.Changed && f.Annotations[envKey] == nil }

func progressFlag(c *cobra.Command, v *string) {
	c.Flags().StringVar(v, "progress", ui.ProgressAuto, "`HOW` progress is shown on stderr: auto (a bar on a terminal, else plain), plain, json or none")
	section(c.Flags(), sectionHere, "progress")
	complete(c, "progress", ui.ProgressAuto, ui.ProgressPlain, ui.ProgressJSON, ui.ProgressNone)
}

// progress makes what --progress asks for. Close it before anything else is printed.
func (a *app) progress(kind string) (ui.Progress, error) {
	p, err := ui.NewProgress(kind, a.stderr)
	if err != nil {
		return nil, usagef("--progress %w", err)
	}
	return p, nil
}
