package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/internal/vfs"
)

// app is one call of the program with everything it takes from outside, so that a test can make one.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr *ui.Console
	getenv func(string) string
	fs     vfs.FS

	logLevel string // --log-level
	output   string // -o

	// interrupted is set before the first signal ends the context.
	interrupted func() bool
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) *app {
	terminal := false
	if f, ok := stderr.(*os.File); ok {
		terminal = cwriter.IsTerminal(int(f.Fd()))
	}
	return &app{
		stdin: stdin, stdout: stdout, stderr: ui.NewConsole(stderr, terminal), getenv: getenv, fs: vfs.OS,
		interrupted: func() bool { return false },
	}
}

// run executes a command line and returns the exit code.
func (a *app) run(args []string) int {
	ctx, in := handleSignals(context.Background(), a.stderr)
	defer in.stop()
	a.interrupted = in.seen
	return a.execute(ctx, args)
}

// execute is run without the process's signals.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.report(err)
	return a.exitCode(err)
}

const rootLong = `Sluice re-partitions data-lake files: it reads a dataset of many badly laid out Parquet files,
sends every row to the partition where it belongs, and publishes a few right-sized files, all or
nothing. The same job runs in one process or on a cluster.`

const rootExample = `  sluice gen events --out landing
  sluice plan        landing --partition-by type --out mart
  sluice repartition landing --partition-by type --out mart
  sluice verify landing mart`

// The groups of verbs in help.
const (
	groupJobs    = "jobs"
	groupCluster = "cluster"
	groupServe   = "serve"
	groupOther   = "other"
)

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "sluice", Short: "Re-partition data-lake files", Long: rootLong, Example: rootExample,
		SilenceErrors: true, SilenceUsage: true,
		Args: a.noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			return a.settle(c)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageFunc(usage)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddGroup(
		&cobra.Group{ID: groupJobs, Title: "Work on datasets, in this process:"},
		&cobra.Group{ID: groupCluster, Title: "Work with a cluster:"},
		&cobra.Group{ID: groupServe, Title: "Be a cluster:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	f := root.PersistentFlags()
	f.StringVar(&a.logLevel, "log-level", "", "`LEVEL` of what is logged to stderr: debug, info, warn or error (default warn; info for coordinator and executor)")
	section(f, sectionHere, "log-level")
	root.AddCommand(
		a.newGen(), a.newRepartition(), a.newRun(), a.newPlan(), a.newVerify(),
		a.newSubmit(), a.newGet(), a.newDescribe(), a.newWait(), a.newCancel(), a.newHealth(),
		a.newCoordinator(), a.newExecutor(),
		a.newVersion(),
	)
	return root
}

// logger logs to stderr; quiet is the level without --log-level.
func (a *app) logger(quiet slog.Level) *slog.Logger {
	level := quiet
	if a.logLevel != "" {
		_ = level.UnmarshalText([]byte(a.logLevel)) // settle has checked it
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// settle runs before every verb: it takes flags that were not given from the environment, and checks
// the ones that all verbs share.
func (a *app) settle(c *cobra.Command) error {
	if err := a.fromEnvironment(c.Flags()); err != nil {
		return err
	}
	switch a.logLevel {
	case "", "debug", "info", "warn", "error":
	default:
		return usagef("--log-level %s: want debug, info, warn or error", a.logLevel)
	}
	switch a.output {
	case "", outputText, outputJSON:
	default:
		return usagef("-o %s: want text or json", a.output)
	}
	return nil
}

// The values of -o.
const (
	outputText = "text"
	outputJSON = "json"
)

// outputFlag gives a verb that prints the flag -o.
func (a *app) outputFlag(c *cobra.Command) {
	c.Flags().StringVarP(&a.output, "output", "o", outputText, "`FORMAT` of what is printed on stdout: text (default), or json for one document")
	section(c.Flags(), sectionHere, "output")
	complete(c, "output", outputText, outputJSON)
}

// print writes a value to stdout as -o says.
func (a *app) print(v any, text func(io.Writer) error) error {
	if a.output == outputJSON {
		return ui.JSON(a.stdout, v)
	}
	return text(a.stdout)
}

// noSuchCommand is the root's check of its arguments: those that are left are no command.
func (a *app) noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	near := c.SuggestionsFor(args[0])
	for i, n := range near {
		near[i] = fmt.Sprintf("%q", n)
	}
	if len(near) > 0 {
		return usagef("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("unknown command %q: `%s help` lists them", args[0], c.CommandPath())
}

// group makes a verb that only holds others, such as `get`.
func (a *app) group(c *cobra.Command, what string, sub ...*cobra.Command) *cobra.Command {
	c.AddCommand(sub...)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s: say what: %s", verbOf(c), what)
		}
		return a.noSuchCommand(c, args)
	}
	c.RunE = func(*cobra.Command, []string) error { return nil }
	return c
}

// complete offers the values of a flag to the shell.
func complete(c *cobra.Command, flag string, values ...string) {
	err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}
