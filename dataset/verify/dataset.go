package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/schema"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/dataset/hive"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// unitBytes is about how many compressed bytes of one file are read by one goroutine.
const unitBytes = 64 << 20

// unit is a stretch of row groups of one file.
type unit struct {
	file     int
	from, to int // row groups
}

// dirValue is the text of one directory column for one file.
type dirValue struct {
	text string
	null bool
}

// dataset is one side: its files, their common schema and the columns in directory names.
type dataset struct {
	path   string
	files  []parquet.Found
	schema *schema.Schema
	dirs   []string     // names of the directory columns
	values [][]dirValue // per file, in the order of dirs
	units  []unit
	rows   int64
}

// openDataset lists the files, reads every footer and checks that the files fit together.
func openDataset(ctx context.Context, fsys vfs.FS, path string, threads int) (*dataset, error) {
	files, err := parquet.List(ctx, fsys, []string{path})
	if err != nil {
		return nil, err
	}
	return openFiles(ctx, fsys, path, files, threads)
}

// openFiles is openDataset for files that are known. There must be one at least.
func openFiles(ctx context.Context, fsys vfs.FS, path string, files []parquet.Found, threads int) (*dataset, error) {
	d := &dataset{path: path, files: files}
	if err := d.readDirs(); err != nil {
		return nil, err
	}
	schemas := make([]*schema.Schema, len(files))
	groups := make([][]parquet.RowGroup, len(files))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads)
	for i := range files {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			schemas[i], groups[i], err = readFooter(fsys, files[i].Path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	d.schema = schemas[0]
	for i, sc := range schemas {
		var diff *parquet.Mismatch
		if err := parquet.Compatible(d.schema, sc); errors.As(err, &diff) {
			return nil, model.Failf(model.ReasonInput, "the files of %s do not fit together: %s", path, diff.Between(files[0].Path, files[i].Path))
		} else if err != nil {
			return nil, err
		}
		d.addUnits(i, groups[i])
	}
	return d, nil
}

func readFooter(fsys vfs.FS, path string) (_ *schema.Schema, groups []parquet.RowGroup, err error) {
	f, err := parquet.Open(fsys, path)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	for i := range f.NumRowGroups() {
		rg := f.RowGroup(i)
		rg.Leaves = nil
		groups = append(groups, rg)
	}
	return f.Schema(), groups, nil
}

// addUnits cuts a file into units.
func (d *dataset) addUnits(file int, groups []parquet.RowGroup) {
	u, bytes := unit{file: file}, int64(0)
	for i, rg := range groups {
		d.rows += rg.Rows
		bytes += rg.Bytes
		if u.to = i + 1; bytes >= unitBytes || u.to == len(groups) {
			d.units = append(d.units, u)
			u, bytes = unit{file: file, from: i + 1}, 0
		}
	}
}

// readDirs takes the directory columns from the files' paths. All files must lie below the same ones.
func (d *dataset) readDirs() error {
	d.values = make([][]dirValue, len(d.files))
	for i, f := range d.files {
		var names []string
		levels := strings.Split(f.RelPath, "/")
		for _, level := range levels[:len(levels)-1] {
			column, text, null, ok := hive.ParseDir(level)
			if !ok {
				continue
			}
			names = append(names, column)
			d.values[i] = append(d.values[i], dirValue{text: text, null: null || text == ""})
		}
		if i == 0 {
			d.dirs = names
		} else if !slices.Equal(names, d.dirs) {
			return model.Failf(model.ReasonInput, "the files of %s do not fit together: %s lies below %s, %s below %s",
				d.path, d.files[0].RelPath, dirList(d.dirs), f.RelPath, dirList(names))
		}
	}
	for i, name := range d.dirs {
		if slices.Contains(d.dirs[:i], name) {
			return model.Failf(model.ReasonInput, "%s: %s has the column %s twice in its path", d.path, d.files[0].RelPath, name)
		}
	}
	return nil
}

func dirList(names []string) string {
	if len(names) == 0 {
		return "no partition directory"
	}
	return strings.Join(names, "=…/") + "=…"
}

// field finds a top-level column in the files' schema, -1 when there is none.
func (d *dataset) field(name string) int { return d.schema.Root().FieldIndexByName(name) }

// columns lists the names of all columns: those in the files, then those in directories. A column that
// is in both is the files'.
func (d *dataset) columns() ([]string, error) {
	var names []string
	root := d.schema.Root()
	for i := range root.NumFields() {
		name := root.Field(i).Name()
		if slices.Contains(names, name) {
			return nil, model.Failf(model.ReasonInput, "%s has two columns %q", d.path, name)
		}
		names = append(names, name)
	}
	for _, name := range d.dirs {
		if d.field(name) < 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

// leaves returns the ordinals of the leaves of a top-level column.
func (d *dataset) leaves(field int) []int {
	var out []int
	node := d.schema.Root().Field(field)
	for i := range d.schema.NumColumns() {
		if d.schema.ColumnRoot(i) == node {
			out = append(out, i)
		}
	}
	return out
}

// describe names the type of a top-level column.
func (d *dataset) describe(field int) string {
	return fmt.Sprintf("%s in %s", parquet.Describe(d.schema.Root().Field(field)), d.path)
}
