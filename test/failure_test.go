package e2e

import (
	"testing"
)

func TestExecutorKilledWhileMapping(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	c := startCluster(t, 3)
	j := newJob(t)
	submitted := c.submit(in, j)

	c.waitForJob("a map stage with finished tasks", func(s jobStatus) bool { return s.stage("map").Done > 0 })
	c.loseExecutor("an executor with a finished map output and a running task", func(e executorStatus) bool {
		return e.MapOutputs > 0 && e.Running > 0
	})
	after, _ := c.theJob()
	if m, r := after.stage("map"), after.stage("reduce"); m.Done == m.Tasks || r.Done+r.Running > 0 {
		t.Fatalf("the executor should have been killed in the map stage; right after it the job is at %+v", after)
	}

	submitted.wait().mustExit(t, 0)
	r := readReceipt(t, j.receipt)
	checkEventJob(t, in, j, r)
	j.leftNothing(t)
	// Its running task and its outputs were done again.
	if r.Retries < 2 {
		t.Errorf("the receipt tells of %d repeated attempts, want at least 2", r.Retries)
	}
	if end, _ := c.theJob(); end.stage("map").Lost == 0 {
		t.Errorf("the job tells of no lost map output: %+v", end)
	}
	c.stop()
}

func TestExecutorKilledWhileWriting(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	c := startCluster(t, 3)
	j := newJob(t)
	submitted := c.submit(in, j)

	c.waitForJob("a reduce stage with finished tasks", func(s jobStatus) bool { return s.stage("reduce").Done > 0 })
	c.loseExecutor("an executor with a running reduce task", func(e executorStatus) bool { return e.Running > 0 })
	after, _ := c.theJob()
	if r := after.stage("reduce"); after.State != "running" || r.Done == 0 || r.Done == r.Tasks {
		t.Fatalf("the executor should have been killed in the reduce stage; right after it the job is at %+v", after)
	}

	submitted.wait().mustExit(t, 0)
	r := readReceipt(t, j.receipt)
	checkEventJob(t, in, j, r)
	j.leftNothing(t)
	if r.Retries < 1 {
		t.Error("the receipt tells of no repeated attempt")
	}
	// Reduce tasks that had not run yet needed its map outputs, and its disk is gone.
	if end, _ := c.theJob(); end.stage("map").Lost == 0 {
		t.Errorf("the job tells of no lost map output: %+v", end)
	}
	c.stop()
}

func TestCoordinatorKilledAndStartedAgain(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	c := startCluster(t, 3)
	j := newJob(t)
	submitted := c.submit(in, j)

	before := c.waitForJob("a map stage in its middle", func(s jobStatus) bool {
		m := s.stage("map")
		return m.Done > 0 && m.Done < m.Tasks
	})
	c.coordinator.kill()
	c.coordinator.wait()
	c.startCoordinator()

	submitted.wait() // its stream broke with the coordinator; the job is what counts
	mustSluice(t, "wait", before.ID, "--coordinator", c.address)
	end, _ := c.theJob()
	if end.ID != before.ID || end.State != "succeeded" || end.stage("map").Lost > 0 {
		t.Errorf("the job should have gone on from its journal and lost nothing; it is %+v", end)
	}
	if n := len(directories(dataFiles(t, j.out, 1))); n != eventTypes {
		t.Errorf("%d type= directories, want %d", n, eventTypes)
	}
	sameRows(t, in, j.out, "type")
	j.leftNothing(t)
	c.stop()
}
