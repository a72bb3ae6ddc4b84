// Package e2e runs the program as a user does and lets DuckDB judge what it wrote.
//
// The tests start the binary, built once per run (or the one that SLUICE_BIN names), as one process or
// as a cluster of processes on loopback. Two of them need more than Go and a C compiler and run only
// where the environment asks for them: SLUICE_TEST_DOCKER=1 the compose cluster, SLUICE_TEST_PYSPARK
// (the path of a Python that has pyspark) the comparison with Spark.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-engine/sluice/test/referee"
)

// What the tests share; TestMain sets it up.
var (
	program string // the program under test
	scratch string // the run's directory; removed at its end
	judge   *referee.Referee
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	scratch, err = os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() {
		if rerr := os.RemoveAll(scratch); err == nil {
			err = rerr
		}
	}()
	if err := findBinary(); err != nil {
		return 1, err
	}
	judge, err = referee.New(filepath.Join(scratch, "duckdb"))
	if err != nil {
		return 1, err
	}
	defer func() {
		if cerr := judge.Close(); err == nil {
			err = cerr
		}
	}()
	return m.Run(), nil
}

// findBinary takes the binary that SLUICE_BIN names, or builds one as it is shipped: without cgo.
func findBinary() error {
	if given := os.Getenv("SLUICE_BIN"); given != "" {
		var err error
		program, err = filepath.Abs(given)
		return err
	}
	program = filepath.Join(scratch, "sluice")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/sluice")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return nil
}
