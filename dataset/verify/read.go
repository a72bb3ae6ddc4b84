package verify

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/dataset/column"
	"github.com/sluice-engine/sluice/dataset/contenthash"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// batchRows is how many rows of a leaf are decoded before they are hashed.
const batchRows = 16 << 10

// reader hashes one unit of one side.
type reader struct {
	fsys     vfs.FS
	data     *dataset
	columns  []pair
	side     int
	hasher   *contenthash.Hasher
	progress *progress
}

// start hands every unit of the data set to the group.
func (r *reader) start(ctx context.Context, g *errgroup.Group) {
	for _, u := range r.data.units {
		g.Go(func() error { return r.read(ctx, u) })
	}
}

func (r *reader) read(ctx context.Context, u unit) (err error) {
	found := r.data.files[u.file]
	f, err := parquet.Open(r.fsys, found.Path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if f.Size() != found.Size || f.ModTime() != found.ModTime {
		return model.Failf(model.ReasonInput, "%s changed while it was compared", found.Path)
	}
	for rg := u.from; rg < u.to; rg++ {
		if err := r.rowGroup(ctx, f, u.file, rg); err != nil {
			return err
		}
		r.progress.add(f.RowGroup(rg).Rows)
	}
	return nil
}

// rowGroup goes leaf by leaf, so that one chunk is in memory; the hash of its rows is kept in batches
// until the last leaf was added.
func (r *reader) rowGroup(ctx context.Context, f *parquet.File, file, rg int) error {
	rows := f.RowGroup(rg).Rows
	var batches []*contenthash.Batch
	for left := rows; left > 0; left -= batchRows {
		batches = append(batches, r.hasher.Batch(int(min(left, batchRows))))
	}
	for i := range r.columns {
		if err := ctx.Err(); err != nil {
			return err
		}
		src := r.columns[i].side[r.side]
		var err error
		if src.leaf >= 0 {
			err = addLeaf(f, rg, src.leaf, i, batches)
		} else {
			err = r.addDir(src, file, i, batches)
		}
		if err != nil {
			return err
		}
	}
	for _, b := range batches {
		if err := b.Done(); err != nil {
			return err
		}
	}
	return nil
}

func addLeaf(f *parquet.File, rg, leaf, i int, batches []*contenthash.Batch) (err error) {
	lr, err := f.ReadLeaf(rg, leaf)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := lr.Close(); err == nil {
			err = cerr
		}
	}()
	v := column.New(f.Schema().Column(leaf))
	for _, b := range batches {
		if err := lr.Next(v, batchRows); err != nil {
			return err
		}
		if err := b.Add(i, v); err != nil {
			return err
		}
	}
	// The end is stated by the reader, not inferred: it has checked the chunk to its last page.
	err = lr.Next(v, batchRows)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return model.Failf(model.ReasonInternal, "%s: row group %d has more rows than were asked for", f.Name(), rg)
	}
	return err
}

func (r *reader) addDir(src source, file, i int, batches []*contenthash.Batch) error {
	dv := r.data.values[file][src.dir]
	value, err := parseDir(src.column, dv)
	if err != nil {
		return fmt.Errorf("%s: %w", r.data.files[file].Path, err)
	}
	for _, b := range batches {
		if err := b.AddConstant(i, value, dv.null); err != nil {
			return err
		}
	}
	return nil
}
