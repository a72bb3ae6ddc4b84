package main

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/model"
)

// talking are the flags of repartition that say how the command talks to whoever called it, and to
// which cluster. They are no part of a job, so no job file has them.
var talking = []string{"coordinator", "token-file", "progress", "output", "log-level", "help"}

func TestEveryRepartitionFlagIsAKeyOfTheSameName(t *testing.T) {
	a := newApp(nil, nil, nil, func(string) string { return "" })
	c, _, err := a.newRoot().Find([]string{"repartition"})
	if err != nil {
		t.Fatal(err)
	}
	keys := jobKeys()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(talking, f.Name) && !slices.Contains(keys, keyOf(f.Name)) {
			t.Errorf("flag --%s has no key %s", f.Name, keyOf(f.Name))
		}
	})
	for _, k := range keys {
		if k != "input" && c.Flags().Lookup(strings.ReplaceAll(k, "_", "-")) == nil {
			t.Errorf("key %s has no flag", k)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[model.JobSpec]()) {
		if !slices.Contains(keys, jsonKey(f)) {
			t.Errorf("JobSpec.%s is no key of a job file", f.Name)
		}
	}
}

// resolve parses a command line of a verb that has all job flags.
func resolve(t *testing.T, env map[string]string, args ...string) (job, error) {
	t.Helper()
	a := newApp(nil, nil, nil, func(name string) string { return env[name] })
	var j jobFlags
	var out job
	c := &cobra.Command{Use: "verb", SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs}
	c.PreRunE = func(c *cobra.Command, _ []string) error { return a.fromEnvironment(c.Flags()) }
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		out, err = j.resolve(a, c, args)
		return err
	}
	j.bindFile(c)
	j.bindSpec(c)
	j.flags.bind(c.Flags())
	j.bindReceipt(c.Flags())
	c.SetArgs(args)
	err := c.Execute()
	return out, err
}

func TestFlagsOverEnvironmentOverJobFileOverDefaults(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "job.yaml"), `
input: [a, b]
out: from-file
partition_by: [x, w]
target_file_size: 1MiB
row_group_size: 2097152
memory_limit: 1GiB
temp_dir: [/file]
threads: 3
slots: 2
receipt: file.json
n: 7
no_shuffle: false
`)
	env := map[string]string{"SLUICE_THREADS": "5", "SLUICE_MEMORY_LIMIT": "2GiB", "SLUICE_SLOTS": ""}
	got, err := resolve(t, env, "-f", file, "--memory-limit", "3GiB", "--partition-by", "z", "--partition-by", "u,v", "--out", "from-flag", "--row-group-size", "1MB")
	if err != nil {
		t.Fatal(err)
	}
	want := job{
		JobSpec: model.JobSpec{
			Input: []string{"a", "b"}, Out: "from-flag", PartitionBy: []string{"z", "u", "v"}, N: 7,
			TargetFileSize: 1 << 20, RowGroupSize: 1e6,
		},
		resources: resources{MemoryLimit: 3 << 30, TempDir: []string{"/file"}, Threads: 5, Slots: 2},
		Receipt:   "file.json",
	}
	want.Normalize()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.SplitSize != model.DefaultSplitSize || got.Mode != model.ModeError || got.Name != "from-flag" {
		t.Errorf("defaults are missing: %+v", got)
	}
}

func TestFlagsAlone(t *testing.T) {
	got, err := resolve(t, nil, "in", "in2", "--out", "o", "--by", "a,b", "-n", "16", "--mode", "overwrite", "--compression", "zstd",
		"--verify", "content", "--name", "nightly", "--key", "2021-08-28", "--split-size", "64MiB", "--open-cost", "1MiB", "--buckets", "64")
	want := job{JobSpec: model.JobSpec{
		Name: "nightly", Key: "2021-08-28", Input: []string{"in", "in2"}, Out: "o", By: []string{"a", "b"}, N: 16,
		Mode: model.ModeOverwrite, Compression: "zstd", Verify: model.VerifyContent, SplitSize: 64 << 20, OpenCost: 1 << 20, Buckets: 64,
	}}
	want.Normalize()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestJobFileKeys(t *testing.T) {
	// Without care YAML 1.1 reads the key n as "no", that is as false.
	for _, text := range []string{"input: [a]\nn: 3\n", "input: [a]\n\"n\": 3\n", "n : 3\ninput: [a]", `{"input": ["a"], "n": 3}`} {
		j, err := parseJob([]byte(text))
		if err != nil || j.N != 3 || !slices.Equal(j.Input, []string{"a"}) {
			t.Errorf("%q: %+v, %v", text, j.JobSpec, err)
		}
	}
}

func TestJobFileMistakesAreNamed(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"misspelled key", "partion_by: [a]", `unknown key "partion_by": did you mean "partition_by"?`},
		{"a flag's spelling", "target-file-size: 1MiB", `unknown key "target-file-size": did you mean "target_file_size"?`},
		{"a key that is like no other", "elephant: 1", `unknown key "elephant": the keys are ` + strings.Join(jobKeys(), ", ")},
		{"several", "nput: a\nuot: b", "unknown key \"nput\": did you mean \"input\"?\nunknown key \"uot\": did you mean \"out\"?"},
		{"a text for a list", "input: landing", "input: want a list such as [a, b], got a text"},
		{"a text for a number", "n: many", "n: want a whole number, got a text"},
		{"a fraction", "n: 1.5", "n: want a whole number, got the number 1.5"},
		{"a list for a text", "out: [a]", "out: want a text, got a list"},
		{"a column that YAML takes for true", "by: [x, y]", "by: want a list such as [a, b], got true or false, which YAML also takes y, n, yes, no, on and off for: put a name in quotes"},
		{"a number for true or false", "no_shuffle: 1", "no_shuffle: want true or false, got the number"},
		{"a bad size", "split_size: 12 parsecs", `split_size: bad size "12 parsecs": want a number with a unit, such as 128MiB or 64MB`},
		{"a negative size", "split_size: -1", "split_size: bad size -1: must not be negative"},
		{"zero", "n: 0", "n: 0: want more than 0"},
		{"a key without value", "out:", "out: has no value"},
		{"a key twice", "out: a\nout: b", `line 2: key "out" already set in map`},
		{"no YAML", "out: [a", "line 1: did not find expected ',' or ']'"},
		{"a list", "- a", "want keys and values, such as `out: mart`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseJob([]byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestMistakesAreNamedAsTheyWereWritten(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "job.yaml"), "mode: append\nn: 3\nno_shuffle: true\nout: s3://bucket/x\n")
	_, err := resolve(t, nil, "-f", file, "--verify", "all")
	want := []string{
		file + ": input: name at least one file, directory or glob to read",
		file + `: mode: "append": want error or overwrite`,
		file + ": no_shuffle: cannot be combined with -n or --by, which need a shuffle",
		`--verify: "all": want rows or content`,
		file + ": out: s3://bucket/x: only paths of a file system can be used",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
}

func TestJobFileFromStandardInput(t *testing.T) {
	r := call{stdin: "input: [/nowhere]\nuot: x\n"}.run(t, "run", "-f", "-")
	if r.code != exitUsage || r.stderr != "sluice: -: unknown key \"uot\": did you mean \"out\"?\n" {
		t.Errorf("%+v", r)
	}
	r = call{stdin: strings.Repeat("#", maxJobFile+1)}.run(t, "run", "-f", "-")
	if r.code != exitUsage || r.stderr != "sluice: -f -: more than 4.0 MiB\n" {
		t.Errorf("%+v", r)
	}
}
