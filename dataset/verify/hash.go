package verify

import (
	"context"
	"path/filepath"

	"github.com/apache/arrow-go/v18/parquet/schema"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// Hash reads files back and hashes their rows under the columns of a schema: what a job read, before
// some columns became directories. files are named below root, where the directories begin.
//
// A column that the files lack, or one that they have beyond the schema, is a *model.Failure.
func Hash(ctx context.Context, fsys vfs.FS, root string, files []string, like *schema.Schema, threads int) (model.ContentHash, error) {
	if len(files) == 0 {
		return model.ContentHash{}, nil
	}
	found := make([]parquet.Found, len(files))
	for i, name := range files {
		path := filepath.Join(root, name)
		info, err := fsys.Stat(path)
		if err != nil {
			return model.ContentHash{}, err
		}
		found[i] = parquet.Found{Path: path, RelPath: name, Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	}
	data, err := openFiles(ctx, fsys, root, found, threads)
	if err != nil {
		return model.ContentHash{}, err
	}
	m, err := match(&dataset{path: "the input", schema: like}, data)
	if err != nil {
		return model.ContentHash{}, err
	}
	if len(m.onlyA)+len(m.onlyB) > 0 {
		return model.ContentHash{}, model.Failf(model.ReasonVerification, "%s lacks columns %v and has columns %v beyond the input's", root, m.onlyA, m.onlyB)
	}
	h, err := m.hasher(1)
	if err != nil {
		return model.ContentHash{}, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(threads, 1))
	(&reader{fsys: fsys, data: data, columns: m.columns, side: 1, hasher: h, progress: &progress{}}).start(ctx, g)
	if err := g.Wait(); err != nil {
		return model.ContentHash{}, err
	}
	return h.Sum(), nil
}
