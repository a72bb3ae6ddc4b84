package survey

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// Limits of the look at partition columns: dictionary pages up to maxDictBytes in all, else a sample
// of sampleGroups row groups with at most sampleRows rows each.
const (
	maxDictBytes = 64 << 20
	sampleGroups = 8
	sampleRows   = 100_000
	maxDistinct  = 2_000_000
)

// Values finds out how many different values each partition column has: from the dictionary pages
// where all data is dictionary-coded (exact), else from a sample (estimate).
func (s *Survey) Values(ctx context.Context) ([]plan.ColumnValues, error) {
	var out []plan.ColumnValues
	for _, name := range s.Spec.PartitionBy {
		leaf := leafOf(s.Schema, name)
		if leaf < 0 {
			return nil, model.Failf(model.ReasonUser, "partition_by: no flat column %q", name)
		}
		v, err := s.columnValues(ctx, name, leaf)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// leafOf returns the leaf of a flat top-level column.
func leafOf(sc *schema.Schema, name string) int {
	for i := range sc.NumColumns() {
		if p := sc.Column(i).ColumnPath(); len(p) == 1 && p[0] == name {
			return i
		}
	}
	return -1
}

// counter collects different values of one column.
type counter struct {
	seen  map[string]struct{}
	nulls bool
	// budget is what is left of maxDictBytes; when it is used up the rest is not looked at.
	budget int64
	// pending are row groups without a complete dictionary, to be sampled.
	pending []chunkRef
	full    bool // too many values to count
}

type chunkRef struct{ file, rowGroup int }

func (s *Survey) columnValues(ctx context.Context, name string, leaf int) (plan.ColumnValues, error) {
	c := counter{seen: map[string]struct{}{}, budget: maxDictBytes}
	for i := range s.Files {
		if err := ctx.Err(); err != nil {
			return plan.ColumnValues{}, err
		}
		if c.budget <= 0 || c.full {
			for rg := range s.Files[i].RowGroups {
				c.pending = append(c.pending, chunkRef{i, rg})
			}
			continue
		}
		if err := s.dictionaries(i, leaf, &c); err != nil {
			return plan.ColumnValues{}, err
		}
	}
	v := plan.ColumnValues{Column: name, Exact: len(c.pending) == 0 && !c.full}
	if err := s.sample(leaf, &c); err != nil {
		return v, err
	}
	v.Distinct = int64(len(c.seen))
	if c.nulls {
		v.Distinct++
	}
	return v, nil
}

// dictionaries adds the dictionary values of one file.
func (s *Survey) dictionaries(file, leaf int, c *counter) (err error) {
	f, err := parquet.Open(s.fs, s.Files[file].Path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	for rg := range f.NumRowGroups() {
		info := f.RowGroup(rg).Leaves[leaf]
		if info.NumValues == 0 {
			continue
		}
		c.nulls = c.nulls || info.NullCount > 0
		values, ok, err := f.DictionaryValues(rg, leaf, c.budget)
		if err != nil {
			return err
		}
		if !ok {
			c.pending = append(c.pending, chunkRef{file, rg})
			continue
		}
		c.budget -= info.DictBytes
		for _, v := range values {
			c.add(v)
		}
	}
	return nil
}

func (c *counter) add(v []byte) {
	if _, ok := c.seen[string(v)]; ok || c.full {
		return
	}
	c.seen[string(v)] = struct{}{}
	c.full = len(c.seen) >= maxDistinct
}

// sample reads the column in a few of the row groups that had no dictionary, spread evenly.
func (s *Survey) sample(leaf int, c *counter) error {
	refs := c.pending
	if len(refs) > sampleGroups {
		spread := make([]chunkRef, 0, sampleGroups)
		for i := range sampleGroups {
			spread = append(spread, refs[i*(len(refs)-1)/(sampleGroups-1)])
		}
		refs = slices.Compact(spread)
	}
	for _, r := range refs {
		if err := s.sampleChunk(r, leaf, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Survey) sampleChunk(r chunkRef, leaf int, c *counter) (err error) {
	f, err := parquet.Open(s.fs, s.Files[r.file].Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lr, err := f.ReadLeaf(r.rowGroup, leaf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lr.Close()) }()
	v := column.New(s.Schema.Column(leaf))
	for rows := 0; rows < sampleRows; rows += v.Rows {
		if err := lr.Next(v, 16<<10); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		c.nulls = c.nulls || v.Values.Len() < v.Rows
		for i := range v.Values.Len() {
			c.add(v.Values.At(i))
		}
	}
	return nil
}

// Explain plans without changing anything and says what would happen.
//
// slots is how many map tasks can run at a time, threads how many threads all executors have.
func (s *Survey) Explain(ctx context.Context, slots, threads int, execution model.Execution) (plan.Explanation, error) {
	values, err := s.Values(ctx)
	if err != nil {
		return plan.Explanation{}, err
	}
	j, err := s.Job("plan", "00000000-0000-0000-0000-000000000000", slots, execution)
	if err != nil {
		return plan.Explanation{}, err
	}
	outBytes, err := s.outBytes()
	if err != nil {
		return plan.Explanation{}, err
	}
	return plan.Explain(plan.ExplainInput{Spec: s.Spec, Job: j, Values: values, OutBytes: outBytes, Threads: threads}), nil
}
