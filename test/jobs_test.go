package e2e

import (
	"path/filepath"
	"testing"
)

func TestCancelledJobLeavesNothing(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	c := startCluster(t, 3)
	j := newJob(t)
	submitted := c.submit(in, j)
	status := c.waitForJob("finished map tasks", func(s jobStatus) bool { return s.stage("map").Done > 0 })
	mustSluice(t, "cancel", status.ID, "--coordinator", c.address)
	if r := submitted.wait(); r.code != 1 {
		t.Errorf("the wait for a cancelled job ended with %d, want 1\n%s", r.code, r)
	}
	if end, _ := c.theJob(); end.State != "cancelled" {
		t.Errorf("the job is %s, want cancelled", end.State)
	}
	if r := readReceipt(t, j.receipt); r.State != "cancelled" {
		t.Errorf("the receipt says %s, want cancelled", r.State)
	}
	j.wroteNothing(t)
	waitFor(t, "executors without scratch files of the cancelled job", stateDeadline, func() (bool, string) {
		for _, e := range c.executors {
			for name := range tree(t, e.temp) {
				if filepath.Ext(name) == ".data" || filepath.Ext(name) == ".index" {
					return false, name
				}
			}
		}
		return true, ""
	})
	c.stop()
}

func TestSecondJobOnOneOutputIsAConflict(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	j := newJob(t)
	first := start(t, commandDeadline, j.arguments(in, "--partition-by", "type")...)
	waitForWork(t, first, j, "fused")

	second := newJob(t)
	for _, mode := range []string{"error", "overwrite"} {
		r := sluice(t, "repartition", smallData(t, 0, 10), "--out", j.out, "--partition-by", "kind", "--mode", mode,
			"--temp-dir", second.temp, "--progress", "none")
		if !first.running() {
			t.Fatal("the first job ended before the second could meet it")
		}
		r.mustExit(t, 4)
		oneClearLine(t, r, j.out)
	}
	second.leftNothing(t)

	first.wait().mustExit(t, 0)
	checkEventJob(t, in, j, readReceipt(t, j.receipt))
	j.leftNothing(t)
}
