package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// commandDeadline ends a call of the program that hangs. The longest job here takes some seconds.
const commandDeadline = 3 * time.Minute

// process is a running call of the program.
type process struct {
	t      *testing.T
	args   []string
	cmd    *exec.Cmd
	stdout buffer
	stderr buffer
	ended  chan struct{} // closed when the process has ended
}

// start starts the program. It is killed when it runs past the deadline, and at the end of the test.
func start(t *testing.T, deadline time.Duration, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: args, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir() // no test depends on the working directory
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p, err)
	}
	timer := time.AfterFunc(deadline, func() {
		t.Errorf("%s still ran after %s; killed", p, deadline)
		p.kill()
	})
	go func() {
		defer close(p.ended)
		// An exit code other than 0 is an error here; the tests look at the code.
		_ = p.cmd.Wait()
		timer.Stop()
	}()
	t.Cleanup(func() {
		p.kill()
		<-p.ended
	})
	return p
}

func (p *process) String() string { return "sluice " + strings.Join(p.args, " ") }

// kill sends SIGKILL and does not wait.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s to %s: %v", s, p, err)
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process.
func (p *process) wait() result {
	<-p.ended
	return result{
		command: p.String(), code: p.cmd.ProcessState.ExitCode(),
		stdout: p.stdout.String(), stderr: p.stderr.String(),
	}
}

// environment is the tests' own, without what would change how the program works.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SLUICE_") {
			env = append(env, v)
		}
	}
	return env
}

// result is a call of the program that ended.
type result struct {
	command        string
	code           int // -1 if a signal ended it
	stdout, stderr string
}

// sluice calls the program and waits for its end.
func sluice(t *testing.T, args ...string) result {
	t.Helper()
	return start(t, commandDeadline, args...).wait()
}

// mustSluice calls the program, which must succeed.
func mustSluice(t *testing.T, args ...string) result {
	t.Helper()
	r := sluice(t, args...)
	r.mustExit(t, 0)
	return r
}

// mustExit ends the test if the exit code is another one.
func (r result) mustExit(t *testing.T, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s", r.code, code, r)
	}
}

func (r result) String() string {
	return "$ " + r.command + "\n-- stdout\n" + r.stdout + "-- stderr\n" + r.stderr
}

// decode reads the JSON document that the program printed.
func (r result) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), into); err != nil {
		t.Fatalf("stdout is not the JSON document that it should be: %v\n%s", err, r)
	}
}

// buffer collects what a process prints, while others look at it.
type buffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitFor asks again and again until the condition holds. When that takes too long the test ends with
// what was waited for and what the last answer said.
func waitFor(t *testing.T, what string, deadline time.Duration, condition func() (holds bool, state string)) {
	t.Helper()
	end := time.After(deadline)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		holds, state := condition()
		if holds {
			return
		}
		select {
		case <-end:
			t.Fatalf("waited %s for %s; at last: %s", deadline, what, state)
		case <-again.C:
		}
	}
}

// job is a job of one test: where it writes, and where it may keep temporary files.
type job struct {
	out, temp, receipt string
}

func newJob(t *testing.T) job {
	t.Helper()
	dir := t.TempDir()
	j := job{out: filepath.Join(dir, "out"), temp: filepath.Join(dir, "temp"), receipt: filepath.Join(dir, "receipt.json")}
	if err := os.Mkdir(j.temp, 0o777); err != nil {
		t.Fatal(err)
	}
	return j
}

// repartition runs a job in one process and leaves the judgement of its end to the caller.
func (j job) repartition(t *testing.T, input string, flags ...string) result {
	t.Helper()
	return sluice(t, j.arguments(input, flags...)...)
}

func (j job) arguments(input string, flags ...string) []string {
	return append([]string{"repartition", input, "--out", j.out, "--temp-dir", j.temp, "--receipt", j.receipt}, flags...)
}

// mustRepartition runs a job that must succeed, and returns its receipt.
func (j job) mustRepartition(t *testing.T, input string, flags ...string) receipt {
	t.Helper()
	j.repartition(t, input, flags...).mustExit(t, 0)
	j.leftNothing(t)
	return readReceipt(t, j.receipt)
}

// receipt is the part of a receipt that the tests look at.
type receipt struct {
	State        string  `json:"state"`
	RowsIn       int64   `json:"rows_in"`
	RowsOut      int64   `json:"rows_out"`
	BytesOut     int64   `json:"bytes_out"`
	FilesIn      int64   `json:"files_in"`
	FilesOut     int64   `json:"files_out"`
	FilesRemoved int64   `json:"files_removed"`
	Partitions   int64   `json:"partitions"`
	EmptyText    int64   `json:"empty_text_as_null"`
	FileSizes    []int64 `json:"file_sizes"`
	MapTasks     int     `json:"map_tasks"`
	WriteTasks   int     `json:"write_tasks"`
	Retries      int     `json:"retries"`
	Fetch        struct {
		RemoteBytes int64 `json:"remote_bytes"`
	} `json:"fetch"`
	Hash struct {
		Rows   int64           `json:"rows"`
		RowSum json.RawMessage `json:"row_sum"`
	} `json:"content_hash"`
}

func readReceipt(t *testing.T, path string) receipt {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no receipt: %v", err)
	}
	var r receipt
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, text)
	}
	return r
}
