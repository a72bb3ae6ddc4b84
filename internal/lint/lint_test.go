// Package lint holds the house rules that no linter knows, as tests.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sluice-engine/sluice"

// floors is the house, from the top down (docs/architecture.md). A package may import packages of its
// own floor and of lower ones. A package belongs to the longest name here that it begins with.
var floors = []floor{
	{"program", []string{"cmd"}},
	{"whole nodes", []string{"node"}},
	{"processes", []string{"coordinator", "executor"}},
	{outsideFloor, []string{"client", "api", "web", "internal/transport", "internal/membership"}},
	{"bytes", []string{"shuffle", "dataset", "sink", "internal/spill", "internal/journal"}},
	{deciderFloor, []string{"plan", "scheduler", "commit", "coordinator/core"}},
	{"words and seams", []string{"model", "proto", "internal/vfs", "internal/clock", "internal/memory", "internal/parallel", "internal/version"}},
}

type floor struct {
	name     string
	packages []string
}

// level is the index of a floor; higher floors have lower ones.
func level(name string) int {
	return slices.IndexFunc(floors, func(f floor) bool { return f.name == name })
}

// strangers never import each other, though they stand on one floor.
var strangers = [][2]string{{"coordinator", "executor"}}

// grpcUsers are the packages below the outside world that may know gRPC: generated code, and the end
// of the wire that blocks come from.
var grpcUsers = []string{"proto", "shuffle/fetch"}

const (
	outsideFloor = "outside world"
	deciderFloor = "deciders"
	grpcModule   = "google.golang.org/grpc"
)

// Deciders are functions of what they are told. These imports would let something else in.
var impure = []string{
	"os", "io/fs", "net", "sync", "context", "math/rand", "crypto/rand", "log", "syscall", "runtime", "unsafe",
	"github.com/google/uuid", module + "/internal/vfs",
}

// clock are the functions of package time that look at a clock; its types and arithmetic are pure.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// notOnAFloor are directories with Go files that the rules do not bind.
var notOnAFloor = []string{".", "internal/lint"}

// source is a Go file and the package directory it lies in, relative to the module.
type source struct {
	dir  string
	name string
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// under reports whether dir is the package or lies below it.
func under(dir, pkg string) bool { return dir == pkg || strings.HasPrefix(dir, pkg+"/") }

func anyUnder(dir string, pkgs []string) bool {
	return slices.ContainsFunc(pkgs, func(p string) bool { return under(dir, p) })
}

// floorOf returns the index of a package's floor and the entry it belongs to; -1 for none.
func floorOf(dir string) (index int, owner string) {
	index = -1
	for i, f := range floors {
		for _, p := range f.packages {
			if under(dir, p) && len(p) > len(owner) {
				index, owner = i, p
			}
		}
	}
	return index, owner
}

func imports(f *ast.File) []string {
	var out []string
	for _, i := range f.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// checkFloors finds imports that point up, and packages without a floor.
func checkFloors(s source) []string {
	if s.isTest() || slices.Contains(notOnAFloor, s.dir) {
		return nil
	}
	own, owner := floorOf(s.dir)
	if own < 0 {
		return []string{"the package is on no floor: add it to the table in internal/lint"}
	}
	var found []string
	for _, p := range imports(s.file) {
		if under(p, grpcModule) && own > level(outsideFloor) && !anyUnder(s.dir, grpcUsers) {
			found = append(found, fmt.Sprintf("imports %s: gRPC is known from the outside world up", p))
		}
		dir, ours := strings.CutPrefix(p, module+"/")
		if !ours {
			continue
		}
		other, otherOwner := floorOf(dir)
		switch {
		case other < 0:
			found = append(found, fmt.Sprintf("imports %s, which is on no floor", dir))
		case other < own:
			found = append(found, fmt.Sprintf("imports %s: %s is above %s", dir, floors[other].name, floors[own].name))
		}
		for _, pair := range strangers {
			if owner == pair[0] && otherOwner == pair[1] || owner == pair[1] && otherOwner == pair[0] {
				found = append(found, fmt.Sprintf("imports %s: the two processes know each other only by messages", dir))
			}
		}
	}
	return found
}

// checkPurity finds what a decider must not use: a clock, I/O, goroutines, locks, random sources.
func checkPurity(s source) []string {
	if own, _ := floorOf(s.dir); s.isTest() || own != level(deciderFloor) {
		return nil
	}
	var found []string
	for _, p := range imports(s.file) {
		if anyUnder(p, impure) {
			found = append(found, fmt.Sprintf("imports %s: a decider is told what it needs", p))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "starts a goroutine")
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = append(found, "uses a channel")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
				found = append(found, fmt.Sprintf("calls time.%s: the time is an argument", n.Sel.Name))
			}
		}
		return true
	})
	return found
}

// checkSleep finds tests that wait by sleeping: they are slow, and fail on a slow machine.
func checkSleep(s source) []string {
	if !s.isTest() {
		return nil
	}
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				found = append(found, "sleeps: wait for a state with a deadline, or use testing/synctest")
			}
		}
		return true
	})
	return found
}

// sources parses every Go file of the module. Other modules below it, generated code and test data
// are left out.
func sources(t *testing.T) []source {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var all []source
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && p != root {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{dir: path.Dir(rel), name: path.Base(rel), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestHouseRules holds the whole tree to the rules.
func TestHouseRules(t *testing.T) {
	all := sources(t)
	if len(all) < 100 {
		t.Fatalf("only %d files found: the walk is wrong", len(all))
	}
	for _, s := range all {
		for _, check := range []func(source) []string{checkFloors, checkPurity, checkSleep} {
			for _, f := range check(s) {
				t.Errorf("%s/%s %s", s.dir, s.name, f)
			}
		}
	}
}

// TestTheRulesFindWhatTheyForbid feeds each rule a file that breaks it.
func TestTheRulesFindWhatTheyForbid(t *testing.T) {
	for _, c := range []struct {
		dir, name, code string
		check           func(source) []string
		want            string
	}{
		{"model", "a.go", `import _ "` + module + `/plan"`, checkFloors, "deciders is above words"},
		{"plan", "a.go", `import _ "` + module + `/shuffle/store"`, checkFloors, "bytes is above deciders"},
		{"shuffle/store", "a.go", `import _ "` + module + `/coordinator"`, checkFloors, "processes is above bytes"},
		{"shuffle/store", "a.go", `import _ "` + module + `/coordinator/core"`, checkFloors, ""},
		{"executor/runner", "a.go", `import _ "` + module + `/coordinator"`, checkFloors, "only by messages"},
		{"executor", "a.go", `import _ "` + module + `/coordinator/core"`, checkFloors, ""},
		{"sink", "a.go", `import _ "google.golang.org/grpc/codes"`, checkFloors, "gRPC"},
		{"shuffle/fetch", "a.go", `import _ "google.golang.org/grpc"`, checkFloors, ""},
		{"util", "a.go", ``, checkFloors, "no floor"},
		{"sink", "a.go", `import _ "` + module + `/util"`, checkFloors, "no floor"},
		{"model", "a_test.go", `import _ "` + module + `/plan"`, checkFloors, ""},
		{"coordinator/core", "a.go", `import _ "sync/atomic"`, checkPurity, "sync/atomic"},
		{"commit", "a.go", `import _ "math/rand/v2"`, checkPurity, "math/rand/v2"},
		{"plan", "a.go", `import "time"; var _ = time.Now`, checkPurity, "time.Now"},
		{"plan", "a.go", `import "time"; var _ time.Duration`, checkPurity, ""},
		{"scheduler", "a.go", `func f() { go f() }`, checkPurity, "goroutine"},
		{"scheduler", "a.go", `var c chan int`, checkPurity, "channel"},
		{"coordinator", "a.go", `import _ "sync"`, checkPurity, ""},
		{"sink", "a_test.go", `import "time"; func f() { time.Sleep(1) }`, checkSleep, "sleeps"},
		{"sink", "a.go", `import "time"; func f() { time.Sleep(1) }`, checkSleep, ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), c.name, "package p; "+c.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Join(c.check(source{dir: c.dir, name: c.name, file: f}), "; ")
		if (c.want == "") != (found == "") || !strings.Contains(found, c.want) {
			t.Errorf("%s/%s %q: found %q, want %q", c.dir, c.name, c.code, found, c.want)
		}
	}
}
