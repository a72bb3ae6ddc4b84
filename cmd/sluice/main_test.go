package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/dataset/codec"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMain(m *testing.M) {
	codec.RegisterFast()
	goleak.VerifyTestMain(m)
}

// result is a command line that was executed.
type result struct {
	code           int
	stdout, stderr string
}

// call is a command line to execute. The zero values of its fields are nothing.
type call struct {
	env   map[string]string
	stdin string
	ctx   context.Context
	// interrupted makes the app believe that a signal came.
	interrupted bool
}

func (c call) run(t *testing.T, args ...string) result {
	t.Helper()
	if c.ctx == nil {
		c.ctx = t.Context()
	}
	var stdout, stderr bytes.Buffer
	a := newApp(strings.NewReader(c.stdin), &stdout, &stderr, func(name string) string { return c.env[name] })
	a.interrupted = func() bool { return c.interrupted }
	code := a.execute(c.ctx, args)
	return result{code, stdout.String(), stderr.String()}
}

func sluice(t *testing.T, args ...string) result {
	t.Helper()
	return call{}.run(t, args...)
}

// must executes a command line that has to succeed, and returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := sluice(t, args...)
	if r.code != 0 {
		t.Fatalf("sluice %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
