package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCoordinatorBeyondLoopbackNeedsAToken(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"coordinator", "--listen", "0.0.0.0:" + port, "--data-dir", t.TempDir()},
		{"executor", "--coordinator", "127.0.0.1:" + port, "--listen", "0.0.0.0:0", "--temp-dir", t.TempDir()},
	} {
		r := sluice(t, args...)
		r.mustExit(t, 2)
		oneClearLine(t, r, "--token-file")
	}
}

func TestTheTokenIsAskedOfEveryClient(t *testing.T) {
	dir := t.TempDir()
	tokens := map[string]string{}
	for _, name := range []string{"right", "wrong"} {
		tokens[name] = filepath.Join(dir, name)
		if err := os.WriteFile(tokens[name], []byte(strings.Repeat(name, 8)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	coordinator := start(t, clusterLife, "coordinator", "--listen", address, "--data-dir", filepath.Join(dir, "data"), "--token-file", tokens["right"])
	waitFor(t, "a healthy coordinator", startDeadline, func() (bool, string) {
		if !coordinator.running() {
			t.Fatalf("the coordinator ended\n%s", coordinator.wait())
		}
		r := sluice(t, "health", address, "--token-file", tokens["right"])
		return r.code == 0, r.String()
	})

	job := filepath.Join(dir, "job.yaml")
	text := "input: [" + smallData(t, 0, 10) + "]\nout: " + filepath.Join(dir, "out") + "\npartition_by: [kind]\n"
	if err := os.WriteFile(job, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string][]string{"no token": nil, "a wrong token": {"--token-file", tokens["wrong"]}} {
		for _, verb := range [][]string{
			{"get", "jobs"}, {"get", "executors"}, {"describe", "job", "x"}, {"cancel", "x"}, {"submit", "-f", job},
		} {
			r := sluice(t, append(append(verb, "--coordinator", address), token...)...)
			if r.code != 1 && r.code != 2 {
				t.Errorf("with %s: exit code %d\n%s", name, r.code, r)
			}
			oneClearLine(t, r, "token")
		}
	}
	var jobs []jobStatus
	mustSluice(t, "get", "jobs", "--coordinator", address, "--token-file", tokens["right"], "-o", "json").decode(t, &jobs)
	if len(jobs) != 0 {
		t.Errorf("a job came in without the token: %+v", jobs)
	}
}

func TestSubmitRefusesRelativePaths(t *testing.T) {
	c := startCluster(t, 0)
	for _, text := range []string{
		"input: [landing]\nout: /tmp/mart\npartition_by: [kind]\n",
		"input: [/tmp/landing]\nout: mart\npartition_by: [kind]\n",
	} {
		file := filepath.Join(c.dir, "job.yaml")
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		r := sluice(t, "submit", "-f", file, "--coordinator", c.address)
		r.mustExit(t, 2)
		oneClearLine(t, r, "relative")
	}
	c.stop()
}
