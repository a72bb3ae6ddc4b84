package e2e

import (
	"strings"
	"syscall"
	"testing"
)

func TestInterruptLeavesNothingBehind(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	for _, execution := range executions {
		j := newJob(t)
		p := start(t, commandDeadline, j.arguments(in, "--partition-by", "type", "--execution", execution)...)
		waitForWork(t, p, j, execution)
		p.signal(syscall.SIGINT)
		p.wait().mustExit(t, 130)
		j.wroteNothing(t)

		r := j.mustRepartition(t, in, "--partition-by", "type", "--execution", execution)
		checkEventJob(t, in, j, r)
	}
}

func TestProcessKilledInTheMiddleDoesNotBlockTheNext(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	for _, execution := range executions {
		j := newJob(t)
		p := start(t, commandDeadline, j.arguments(in, "--partition-by", "type", "--execution", execution)...)
		waitForWork(t, p, j, execution)
		p.kill()
		p.wait()
		for name := range tree(t, j.out) {
			if !strings.HasPrefix(name, "_sluice/") { // its claim
				t.Errorf("a job that did not end has an output: %s", name)
			}
		}

		// Its map outputs stay in --temp-dir, but beside the output the next job there tidies up.
		r := j.repartition(t, in, "--partition-by", "type", "--execution", execution)
		r.mustExit(t, 0)
		checkEventJob(t, in, j, readReceipt(t, j.receipt))
		j.leftNothingBeside(t)
	}
}
