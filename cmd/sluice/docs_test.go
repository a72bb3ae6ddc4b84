package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docsPath is the page that describes the command line. Its generated parts stand between markers.
const docsPath = "../../docs/cli.md"

func TestDocsSayWhatTheProgramSays(t *testing.T) {
	page, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	want := string(page)
	for name, content := range map[string]string{"keys": docsKeys(t), "environment": docsEnvironment(), "verbs": docsVerbs(t)} {
		want = replaceBetween(t, want, name, content)
	}
	if want == string(page) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s is not what the program says: go test ./cmd/sluice -run TestDocs -rewrite", docsPath)
	}
	if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replaceBetween(t *testing.T, page, name, content string) string {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- generated: %s -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the markers of %s", docsPath, name)
	}
	return before + begin + content + end + after
}

func testRoot() *cobra.Command {
	return newApp(nil, nil, nil, func(string) string { return "" }).newRoot()
}

// docsKeys is the table of the job file's keys, in the words of the flags.
func docsKeys(t *testing.T) string {
	c, _, err := testRoot().Find([]string{"repartition"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key | meaning |\n|---|---|\n| `input` | list of files, directories and globs to read |\n")
	for _, key := range jobKeys() {
		if key == "input" {
			continue
		}
		_, text := pflag.UnquoteUsage(c.Flags().Lookup(strings.ReplaceAll(key, "_", "-")))
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, text)
	}
	return b.String()
}

func docsEnvironment() string {
	var b strings.Builder
	b.WriteString("| variable | flag |\n|---|---|\n| `SLUICE_TOKEN` | the token itself, where `--token-file` is not given |\n")
	c := testRoot()
	seen := map[string]bool{}
	add := func(f *pflag.Flag) {
		if v, ok := envFlags[f.Name]; ok && !seen[v] {
			seen[v] = true
			fmt.Fprintf(&b, "| `%s` | `--%s` |\n", v, f.Name)
		}
	}
	for _, sub := range append(c.Commands(), c) {
		sub.LocalFlags().VisitAll(add)
	}
	return b.String()
}

// docsVerbs is the help of every verb.
func docsVerbs(t *testing.T) string {
	var b strings.Builder
	var visit func(path []string, c *cobra.Command)
	visit = func(path []string, c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !sub.IsAvailableCommand() || sub.Name() == "completion" {
				continue
			}
			p := append(append([]string(nil), path...), sub.Name())
			if sub.HasAvailableSubCommands() {
				visit(p, sub)
				continue
			}
			var out bytes.Buffer
			a := newApp(nil, &out, &out, func(string) string { return "" })
			if code := a.execute(t.Context(), append(p, "--help")); code != 0 {
				t.Fatalf("%v --help: exit code %d", p, code)
			}
			fmt.Fprintf(&b, "### sluice %s\n\n```\n%s```\n\n", strings.Join(p, " "), out.String())
		}
	}
	visit(nil, testRoot())
	return b.String()
}

// TestHelpOffersOnlyWhatWorks guards against flags and verbs of the design that are not built yet.
func TestHelpOffersOnlyWhatWorks(t *testing.T) {
	help := docsVerbs(t)
	for _, later := range []string{"--range-by", "--rebalance", "--sort-within", "--format", "--schema", "--join", "--servers", "append", "overwrite_partitions", "resume", "compact"} {
		if strings.Contains(help, later) {
			t.Errorf("help offers %s", later)
		}
	}
	if out := must(t, "--help"); !strings.Contains(out, "completion") || !strings.Contains(out, "repartition") {
		t.Errorf("%s", out)
	}
}

func TestEveryFlagIsExplained(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s says nothing about itself", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing about itself", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(testRoot())
}

func TestVersion(t *testing.T) {
	if out := must(t, "version"); !strings.HasPrefix(out, "sluice ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%q", out)
	}
}
