// Package verify compares two data sets: whether they hold the same rows, in whatever order, files and
// directories.
package verify

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/dataset/contenthash"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// Options says how to compare.
type Options struct {
	// Threads is how many goroutines read; 0 means one per CPU. Each holds one leaf of one batch, and 8
	// bytes for each row of the row group it reads.
	Threads int
	// Progress, if set, is told how many rows of both sides together are read, of how many. It is
	// called from one goroutine at a time.
	Progress func(done, total int64)
}

// Side is what was found on one side.
type Side struct {
	Path  string            `json:"path"`
	Files int               `json:"files"`
	Hash  model.ContentHash `json:"hash"` // over the columns that both sides have
}

// Column compares one leaf column that both sides have.
type Column struct {
	Name  string        `json:"name"`
	A     model.HashSum `json:"a"`
	B     model.HashSum `json:"b"`
	Equal bool          `json:"equal"`
}

// Result of a comparison.
type Result struct {
	A       Side     `json:"a"`
	B       Side     `json:"b"`
	Columns []Column `json:"columns"` // in A's order
	OnlyA   []string `json:"only_a"`  // top-level and directory columns
	OnlyB   []string `json:"only_b"`
	Differ  []string `json:"differ"` // names of the columns whose hashes differ
	Equal   bool     `json:"equal"`
	// Swapped: every column holds the same values, but not in the same rows.
	Swapped bool `json:"swapped"`
}

// Compare reads both data sets, each a directory or a file, and compares rows, hash per column and
// hash over whole rows (package contenthash). Columns are matched by name. Directories such as
// type=appOpen are a column; its text is read as the type that the column has on the other side, and
// "" equals null there. _SUCCESS, _sluice and what else readers leave out is left out.
//
// Data sets that differ are no error. Those that cannot be compared, because a column is of another
// type on the other side, or because files of one side do not fit together, are a *model.Failure.
func Compare(ctx context.Context, fsys vfs.FS, a, b string, opt Options) (*Result, error) {
	if opt.Threads <= 0 {
		opt.Threads = runtime.GOMAXPROCS(0)
	}
	var sides [2]*dataset
	for i, path := range []string{a, b} {
		var err error
		if sides[i], err = openDataset(ctx, fsys, path, opt.Threads); err != nil {
			return nil, err
		}
	}
	m, err := match(sides[0], sides[1])
	if err != nil {
		return nil, err
	}
	hashes, err := hashBoth(ctx, fsys, sides, m, opt)
	if err != nil {
		return nil, err
	}
	return judge(sides, m, hashes), nil
}

// hashBoth reads both sides with one pool of goroutines.
func hashBoth(ctx context.Context, fsys vfs.FS, sides [2]*dataset, m *matching, opt Options) (out [2]model.ContentHash, err error) {
	p := &progress{tell: opt.Progress, total: sides[0].rows + sides[1].rows}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(opt.Threads)
	var hashers [2]*contenthash.Hasher
	for i, d := range sides {
		if hashers[i], err = m.hasher(i); err != nil {
			return out, err
		}
		r := &reader{fsys: fsys, data: d, columns: m.columns, side: i, hasher: hashers[i], progress: p}
		r.start(ctx, g)
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	for i, h := range hashers {
		out[i] = h.Sum()
	}
	return out, nil
}

// judge compares the sums.
func judge(sides [2]*dataset, m *matching, hashes [2]model.ContentHash) *Result {
	r := &Result{
		A:     Side{Path: sides[0].path, Files: len(sides[0].files), Hash: hashes[0]},
		B:     Side{Path: sides[1].path, Files: len(sides[1].files), Hash: hashes[1]},
		OnlyA: m.onlyA, OnlyB: m.onlyB,
	}
	for i, c := range hashes[0].Columns {
		col := Column{Name: c.Name, A: c.Sum, B: hashes[1].Columns[i].Sum}
		col.Equal = col.A == col.B
		if !col.Equal {
			r.Differ = append(r.Differ, col.Name)
		}
		r.Columns = append(r.Columns, col)
	}
	sameRows := hashes[0].Rows == hashes[1].Rows
	sameSum := hashes[0].RowSum == hashes[1].RowSum
	r.Swapped = sameRows && !sameSum && len(r.Differ) == 0
	r.Equal = sameRows && sameSum && len(r.Differ) == 0 && len(r.OnlyA) == 0 && len(r.OnlyB) == 0
	return r
}

// Summary says in one line how the two data sets differ, or that they do not.
func (r *Result) Summary() string {
	if r.Equal {
		return fmt.Sprintf("equal: %d rows, hash %s", r.A.Hash.Rows, r.A.Hash.RowSum)
	}
	var parts []string
	if r.A.Hash.Rows != r.B.Hash.Rows {
		parts = append(parts, fmt.Sprintf("%d rows in %s but %d in %s", r.A.Hash.Rows, r.A.Path, r.B.Hash.Rows, r.B.Path))
	}
	if len(r.OnlyA) > 0 {
		parts = append(parts, fmt.Sprintf("only in %s: %s", r.A.Path, strings.Join(r.OnlyA, ", ")))
	}
	if len(r.OnlyB) > 0 {
		parts = append(parts, fmt.Sprintf("only in %s: %s", r.B.Path, strings.Join(r.OnlyB, ", ")))
	}
	if len(r.Differ) > 0 {
		parts = append(parts, "values differ in "+strings.Join(r.Differ, ", "))
	}
	if r.Swapped {
		parts = append(parts, "every column holds the same values, but values were swapped between rows")
	}
	return "different: " + strings.Join(parts, "; ")
}

// progress adds up rows and tells them on.
type progress struct {
	tell  func(done, total int64)
	total int64

	mu   sync.Mutex // guards done, and orders the calls of tell
	done int64
}

func (p *progress) add(rows int64) {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += rows
	p.tell(p.done, p.total)
}
