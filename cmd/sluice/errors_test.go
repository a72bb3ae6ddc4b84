package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-engine/sluice/dataset/gen"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

func TestExitCodes(t *testing.T) {
	failure := func(r model.Reason) error { return fmt.Errorf("job: %w", model.Failf(r, "why")) }
	tests := []struct {
		name        string
		err         error
		interrupted bool
		want        int
	}{
		{"done", nil, false, 0},
		{"done although a signal came", nil, true, 0},
		{"an error of no kind", errors.New("x"), false, 1},
		{"a mistake in the command line", usagef("x"), false, 2},
		{"a mistake in a job", &model.SpecError{Field: "n"}, false, 2},
		{"several mistakes", errors.Join(usagef("x"), usagef("y")), false, 2},
		{"a job that cannot work", failure(model.ReasonUser), false, 2},
		{"a bad input file", failure(model.ReasonInput), false, 1},
		{"a full disk", failure(model.ReasonDiskFull), false, 1},
		{"no executors", failure(model.ReasonNoExecutors), false, 1},
		{"our mistake", failure(model.ReasonInternal), false, 1},
		{"verification", failure(model.ReasonVerification), false, 3},
		{"datasets that differ", differsError{"x"}, false, 3},
		{"an output that exists", failure(model.ReasonConflict), false, 4},
		{"generating into a full directory", fmt.Errorf("x: %w", gen.ErrNotEmpty), false, 4},
		{"cancelled by somebody else", failure(model.ReasonKilled), false, 1},
		{"cancelled by our signal", failure(model.ReasonKilled), true, 130},
		{"stopped by our signal", fmt.Errorf("x: %w", context.Canceled), true, 130},
		{"failed, and a signal came", failure(model.ReasonInput), true, 1},
		{"nobody answers", fmt.Errorf("x: %w", transport.ErrUnavailable), false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{interrupted: func() bool { return tt.interrupted }}
			if got := a.exitCode(tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestMistakesGetOneClearLine holds the texts that people see when they mistype something.
func TestMistakesGetOneClearLine(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must(t, "gen", "events", "--out", "landing", "--rows", "200", "--files", "2", "--types", "3", "--progress", "none")
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "notes/notes.parquet", "this is no Parquet file, however long it is")
	writeFile(t, "job.yaml", "input: [landing]\nout: mart\npartition_by: [type]\n")
	abs := func(name string) string { return filepath.Join(dir, name) }

	tests := []struct {
		args string
		code int
		want string
	}{
		{"repartition", 2, "INPUT is missing: name the files, directories or globs to read"},
		{"repartition landing --out mart", 2, "--partition-by: nothing says how to partition: give --partition-by, --by, -n or --no-shuffle"},
		{"repartition landing --partition-by type", 2, "--out: name the directory to write"},
		{"repartition landing --out mart --partition-by typ", 2, `the input has no column "typ": did you mean "type"?`},
		{"repartition landing --out mart -n 0", 2, "-n 0: want more than 0"},
		{"repartition landing --out mart -n -4", 2, "-n -4: want more than 0"},
		{"repartition landing --out mart -n many", 2, `-n: "many" is not a whole number`},
		{"repartition landing --out mart -n 2 --target-file-size 12parsecs", 2, `--target-file-size: bad size "12parsecs": want a number with a unit, such as 128MiB or 64MB`},
		{"repartition landing --out mart -n 2 --target-file-size 1KiB", 2, "--target-file-size: 1.0 KiB is too small: want at least 64KiB"},
		{"repartition landing --out mart -n 2 --target-file-size 0", 2, "--target-file-size 0 B: want more than 0"},
		{"repartition landing --out mart -n 2 --traget-file-size 1MiB", 2, "unknown flag --traget-file-size: did you mean --target-file-size?"},
		{"repartition landing --out mart -n 2 --elephant", 2, "unknown flag --elephant: `sluice repartition --help` lists the flags"},
		{"repartition landing --out mart -n 2 -x", 2, "unknown flag -x: `sluice repartition --help` lists the flags"},
		{"repartition landing --out mart -n 2 --no-shuffle", 2, "--no-shuffle: cannot be combined with -n or --by, which need a shuffle"},
		{"repartition landing --out mart -n 2 --mode append", 2, `--mode: "append": want error or overwrite`},
		{"repartition landing --out mart -n 2 --compression rar", 2, `--compression: "rar": want one of keep, zstd, snappy, gzip, lz4, none`},
		{"repartition landing --out gs://b/mart -n 2", 2, "--out: gs://b/mart: only paths of a file system can be used"},
		{"repartition landing --out mart -n 2 --slots 9 --threads 2", 2, "--slots 9: want 1 to the number of threads, 2"},
		{"repartition landing --out mart -n 2 --memory-limit 1MiB", 2, "--memory-limit 1.0 MiB: want at least 128 MiB"},
		{"repartition landing --out mart -n 2 --receipt no/r.json", 2, "--receipt no/r.json: no: no such file or directory"},
		{"repartition landing --out mart -n 2 --receipt empty", 2, "--receipt empty: it is a directory, name a file"},
		{"repartition landing --out mart -n 2 --progress fancy", 2, `--progress "fancy": want auto, plain, json or none`},
		{"repartition landing --out mart -n 2 -o xml", 2, "-o xml: want text or json"},
		{"repartition landing --out mart -n 2 --log-level loud", 2, "--log-level loud: want debug, info, warn or error"},
		{"repartition landing --out mart -n 2 --coordinator 127.0.0.1:1 --threads 2", 2, "--threads is about this machine, and the job runs on a cluster: its executors have flags of their own"},
		{"repartition " + abs("landing") + " --out mart -n 2 --coordinator 127.0.0.1:1", 2, "--out: mart is a relative path: on a cluster give the absolute one that all its machines see"},
		{"repartition " + abs("landing") + " --out " + abs("mart") + " -n 2 --coordinator localhost", 2, `--coordinator "localhost": want HOST:PORT, such as 127.0.0.1:7400`},
		{"run", 2, "-f is missing: name the job file"},
		{"run -f nowhere.yaml", 2, "-f nowhere.yaml: no such file or directory"},
		{"run landing -f job.yaml", 2, `run takes its input from the job file (key input), got "landing"`},
		{"plan", 2, "INPUT is missing: name the files, directories or globs to read, or a job file with -f"},
		{"plan landing -f job.yaml", 2, `give either a job file or INPUT, not both: job.yaml names its own input, and "landing" was given beside it`},
		{"submit", 2, "-f is missing: name the job file"},
		{"submit -f job.yaml --receipt r.json --out /x --coordinator 127.0.0.1:1", 2, "job.yaml: input: landing is a relative path: on a cluster give the absolute one that all its machines see"},
		{"verify landing", 2, "verify: B is missing"},
		{"verify landing landing landing", 2, `verify: one argument too many: "landing"`},
		{"get", 2, "get: say what: jobs or executors"},
		{"get job", 1, "coordinator 127.0.0.1:1 cannot be reached: connection refused"},
		{"get jbos", 2, `unknown command "jbos": did you mean "jobs"?`},
		{"wait", 2, "wait: ID is missing"},
		{"cancel no/id", 2, "\"no/id\" is no job id: `sluice get jobs` lists them"},
		{"health localhost", 2, `HOST:PORT "localhost": want HOST:PORT, such as 127.0.0.1:7400`},
		{"health 127.0.0.1:1", 1, "127.0.0.1:1 cannot be reached: connection refused"},
		{"coordinator --listen 0.0.0.0:0", 2, "--listen 0.0.0.0:0 can be reached from other machines: give --token-file (or SLUICE_TOKEN), or --insecure if everybody who can connect may run jobs and read their data"},
		{"coordinator --allow lake", 2, `--allow "lake": want an absolute path`},
		{"coordinator --token-file nowhere", 2, "--token-file: stat nowhere: no such file or directory"},
		{"executor --coordinator host", 2, `--coordinator "host": want HOST:PORT, such as 127.0.0.1:7400`},
		{"version now", 2, `version takes no argument, got "now"`},
		{"repart", 2, `unknown command "repart": did you mean "repartition"?`},
		{"gc", 2, "unknown command \"gc\": did you mean \"gen\" or \"get\"?"},
		{"frobnicate", 2, "unknown command \"frobnicate\": `sluice help` lists them"},
		{"gen events --out landing", 4, "--out landing: the directory is not empty: it holds part-00000.parquet; remove what is there or name another directory"},
		{"gen events", 2, "--out is missing: name the directory to write to"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			env := map[string]string{}
			if strings.HasPrefix(tt.args, "get") {
				env["SLUICE_COORDINATOR"] = "127.0.0.1:1" // nobody listens there
			}
			r := call{env: env}.run(t, strings.Fields(tt.args)...)
			if r.code != tt.code || r.stderr != "sluice: "+tt.want+"\n" || r.stdout != "" {
				t.Errorf("exit code %d, want %d\nstdout %q\ngot  %swant sluice: %s", r.code, tt.code, r.stdout, r.stderr, tt.want)
			}
		})
	}
	if _, err := os.Stat("mart"); err == nil {
		t.Error("a mistake left an output")
	}
}

func TestAnInterruptHidesNoOtherError(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, nil, &out, nil)
	a.interrupted = func() bool { return true }
	a.report(errors.Join(model.Failf(model.ReasonKilled, "cancelled"), context.Canceled, errors.New("scratch is left in /tmp/x")))
	if out.String() != "sluice: interrupted\nsluice: scratch is left in /tmp/x\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestEnvironmentMistakesNameTheVariable(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"SLUICE_THREADS", "two", `SLUICE_THREADS="two": "two" is not a whole number`},
		{"SLUICE_MEMORY_LIMIT", "much", `SLUICE_MEMORY_LIMIT="much": bad size "much": want a number with a unit, such as 128MiB or 64MB`},
	}
	for _, tt := range tests {
		r := call{env: map[string]string{tt.name: tt.value}}.run(t, "repartition", "in", "--out", "o", "-n", "2")
		if r.code != exitUsage || r.stderr != "sluice: "+tt.want+"\n" {
			t.Errorf("%+v", r)
		}
	}
}

func TestInputMistakesNameTheFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "notes/notes.parquet", "this is no Parquet file, however long it is")
	for input, name := range map[string]string{"nowhere": "nowhere", "no*where": "no*where", "empty": "empty", "notes": "notes.parquet"} {
		for _, verb := range []string{"repartition", "plan"} {
			r := sluice(t, verb, input, "--out", "mart", "-n", "2", "--temp-dir", "temp")
			if r.code == 0 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, name) || r.stdout != "" {
				t.Errorf("%s %s: %+v", verb, input, r)
			}
		}
	}
	if _, err := os.Stat("mart"); err == nil {
		t.Error("a mistake left an output")
	}
}
