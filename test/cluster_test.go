package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is one coordinator and some executors, processes of their own on loopback, each with its own
// directories.
type cluster struct {
	t           *testing.T
	dir         string
	address     string
	coordinator *process
	executors   []*executor
}

type executor struct {
	*process
	address string // of its block server
	temp    string
}

// Deadlines of what a cluster should do at once or within seconds.
const (
	startDeadline = 20 * time.Second
	stateDeadline = 60 * time.Second
	// clusterLife ends processes that a test forgot.
	clusterLife = 8 * time.Minute
)

// startCluster returns once every executor is registered.
func startCluster(t *testing.T, executors int) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), address: freeAddress(t)}
	t.Cleanup(func() {
		if t.Failed() {
			c.printLogs()
		}
	})
	c.startCoordinator()
	for range executors {
		c.addExecutor()
	}
	c.waitForExecutors(executors)
	return c
}

// freeAddress finds a loopback port that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startCoordinator starts the coordinator, or starts it again on the same address and data.
func (c *cluster) startCoordinator() {
	c.t.Helper()
	c.coordinator = start(c.t, clusterLife, "coordinator", "--listen", c.address, "--data-dir", filepath.Join(c.dir, "coordinator"))
	waitFor(c.t, "a healthy coordinator", startDeadline, func() (bool, string) {
		if !c.coordinator.running() {
			c.t.Fatalf("the coordinator ended:\n%s", c.coordinator.wait())
		}
		r := sluice(c.t, "health", c.address)
		return r.code == 0, r.String()
	})
}

func (c *cluster) addExecutor() *executor {
	c.t.Helper()
	e := &executor{address: freeAddress(c.t), temp: filepath.Join(c.dir, fmt.Sprintf("executor-%d", len(c.executors)))}
	if err := os.Mkdir(e.temp, 0o777); err != nil {
		c.t.Fatal(err)
	}
	e.process = start(c.t, clusterLife, "executor", "--coordinator", c.address, "--listen", e.address,
		"--temp-dir", e.temp, "--threads", "1", "--memory-limit", "512MiB")
	c.executors = append(c.executors, e)
	return e
}

func (c *cluster) waitForExecutors(n int) {
	c.t.Helper()
	waitFor(c.t, fmt.Sprintf("%d executors", n), startDeadline, func() (bool, string) {
		alive := 0
		found := c.executorStatus()
		for _, e := range found {
			if e.State == "alive" {
				alive++
			}
		}
		return alive == n, fmt.Sprintf("%+v", found)
	})
}

// printLogs shows the end of what every process of a failed test wrote.
func (c *cluster) printLogs() {
	show := func(name string, p *process) {
		lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
		lines = lines[max(0, len(lines)-60):]
		c.t.Logf("the last lines of %s (%s):\n%s", name, p, strings.Join(lines, "\n"))
	}
	show("the coordinator", c.coordinator)
	for i, e := range c.executors {
		show(fmt.Sprintf("executor %d", i), e.process)
	}
}

// executorStatus is the part of `get executors -o json` that the tests look at.
type executorStatus struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	Addr       string `json:"addr"`
	Running    int    `json:"running"`
	MapOutputs int    `json:"map_outputs"`
}

func (c *cluster) executorStatus() []executorStatus {
	c.t.Helper()
	var found []executorStatus
	mustSluice(c.t, "get", "executors", "--coordinator", c.address, "-o", "json").decode(c.t, &found)
	return found
}

// jobStatus is the part of `get jobs -o json` and `describe job -o json` that the tests look at.
type jobStatus struct {
	ID     string        `json:"id"`
	State  string        `json:"state"`
	Stages []stageStatus `json:"stages"`
}

type stageStatus struct {
	Kind    string `json:"kind"` // map, reduce or direct
	Tasks   int    `json:"tasks"`
	Done    int    `json:"done"`
	Running int    `json:"running"`
	Lost    int    `json:"lost_outputs"`
}

// stage returns the status of the stage of a kind, or zeros if it has not begun.
func (s jobStatus) stage(kind string) stageStatus {
	for _, st := range s.Stages {
		if st.Kind == kind {
			return st
		}
	}
	return stageStatus{Kind: kind}
}

// theJob returns the status of the only job of the cluster; ok is false before it is submitted.
func (c *cluster) theJob() (status jobStatus, ok bool) {
	c.t.Helper()
	var found []jobStatus
	mustSluice(c.t, "get", "jobs", "--coordinator", c.address, "-o", "json").decode(c.t, &found)
	if len(found) == 0 {
		return status, false
	}
	if len(found) > 1 || found[0].ID == "" {
		c.t.Fatalf("want the one job that was submitted, got %+v", found)
	}
	mustSluice(c.t, "describe", "job", found[0].ID, "--coordinator", c.address, "-o", "json").decode(c.t, &status)
	return status, true
}

// eventJob is the event job of the cluster tests: small splits and files, so that both stages have
// enough tasks to be hit in the middle.
func (c *cluster) eventJob(in string, j job) (file string) {
	c.t.Helper()
	file = filepath.Join(c.dir, "job.yaml")
	text := fmt.Sprintf(`input: [%s]
out: %s
partition_by: [type]
split_size: 8MiB
open_cost: 64KiB
target_file_size: 2MiB
`, in, j.out)
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// submit submits a job and waits for its end in the background.
func (c *cluster) submit(in string, j job) *process {
	c.t.Helper()
	return start(c.t, commandDeadline, "submit", "-f", c.eventJob(in, j), "--coordinator", c.address, "--wait", "--receipt", j.receipt)
}

// waitForJob waits until the only job is in a state that the condition likes.
func (c *cluster) waitForJob(what string, condition func(jobStatus) bool) jobStatus {
	c.t.Helper()
	var status jobStatus
	waitFor(c.t, what, stateDeadline, func() (bool, string) {
		found, ok := c.theJob()
		status = found
		switch found.State {
		case "succeeded", "failed", "cancelled":
			c.t.Fatalf("the job ended (%s) before it came to %s: %+v", found.State, what, found)
		}
		return ok && condition(found), fmt.Sprintf("%+v", found)
	})
	return status
}

// loseExecutor waits for an executor that the condition likes, kills it with SIGKILL and removes its
// disk, as when a machine is gone: on one host its map outputs could still be read.
func (c *cluster) loseExecutor(what string, condition func(executorStatus) bool) {
	c.t.Helper()
	var victim *executor
	waitFor(c.t, what, stateDeadline, func() (bool, string) {
		found := c.executorStatus()
		for _, s := range found {
			i := slices.IndexFunc(c.executors, func(e *executor) bool { return e.address == s.Addr })
			if i < 0 {
				c.t.Fatalf("%s is no address of this cluster's executors", s.Addr)
			}
			if s.State == "alive" && condition(s) {
				victim = c.executors[i]
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", found)
	})
	victim.signal(syscall.SIGKILL)
	victim.wait()
	if err := os.RemoveAll(victim.temp); err != nil {
		c.t.Fatal(err)
	}
}

// stop ends all processes with SIGTERM. Each must leave in order, and no executor may leave anything on
// its disk.
func (c *cluster) stop() {
	c.t.Helper()
	for _, e := range c.executors {
		if !e.running() {
			continue
		}
		e.signal(syscall.SIGTERM)
		if r := e.wait(); r.code != 0 && r.code != 130 {
			c.t.Errorf("an executor that was asked to leave ended with %d\n%s", r.code, r)
		}
		for name := range tree(c.t, e.temp) {
			if !strings.HasSuffix(name, "/") {
				c.t.Errorf("an executor left %s in its --temp-dir", name)
			}
		}
	}
	c.coordinator.signal(syscall.SIGTERM)
	if r := c.coordinator.wait(); r.code != 0 && r.code != 130 {
		c.t.Errorf("the coordinator that was asked to stop ended with %d\n%s", r.code, r)
	}
}
