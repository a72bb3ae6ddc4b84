package sink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/bits"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeManifest lists the staged files, ordered by their final names. The files have been synced;
// the directory is synced with the manifest in it, so afterwards all their names are durable.
func writeManifest(fsys vfs.FS, path string, files []model.StagedFile) (model.ManifestRef, error) {
	slices.SortFunc(files, func(a, b model.StagedFile) int { return strings.Compare(a.Final, b.Final) })
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for i := range files {
		if err := enc.Encode(&files[i]); err != nil {
			return model.ManifestRef{}, err
		}
	}
	if err := vfs.WriteFile(fsys, path, buf.Bytes()); err != nil {
		return model.ManifestRef{}, err
	}
	return model.ManifestRef{
		Path: path, Bytes: int64(buf.Len()), CRC: crc32.Checksum(buf.Bytes(), castagnoli),
	}, nil
}

// removeStaged removes a file that may not be there.
func removeStaged(fsys vfs.FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// countSize adds a file to a histogram of model.WriteOutput.Sizes' kind.
func countSize(sizes []int64, size int64) []int64 {
	i := max(bits.Len64(uint64(size))-1, 0)
	for len(sizes) <= i {
		sizes = append(sizes, 0)
	}
	sizes[i]++
	return sizes
}

// hottest keeps the MaxHotKeys largest values, largest first; equal ones by key.
func hottest(v []model.ValueSize) []model.ValueSize {
	slices.SortFunc(v, func(a, b model.ValueSize) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.Key.Compare(b.Key))
	})
	return v[:min(len(v), model.MaxHotKeys)]
}
