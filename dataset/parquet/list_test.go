package parquet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// tree makes files, each holding its own name; a name that ends in '/' is a directory and one that
// ends in '0' is empty.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		data := []byte(n)
		if n[len(n)-1] == '0' {
			data = nil
		}
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil && n[len(n)-1] != '/' {
			err = os.WriteFile(path, data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestList(t *testing.T) {
	dir := tree(t, "b.parquet", "a.parquet", "day=1/x.parquet", "_day=2/x.parquet", "_sluice/publish", "_SUCCESS", "none0",
		".hidden", ".d/x.parquet", "part.tmp", "c=1.tmp", "dir.tmp/x.parquet", "_part=1.tmp/x.parquet", "empty/")
	all := []string{"_day=2/x.parquet", "_part=1.tmp/x.parquet", "a.parquet", "b.parquet", "day=1/x.parquet"}
	tests := []struct {
		inputs []string
		want   []string
	}{
		{[]string{""}, all},
		{[]string{"", "a.parquet", "", "./a.parquet"}, all},
		{[]string{"b.parquet", "a.parquet"}, []string{"a.parquet", "b.parquet"}},
		{[]string{"day=1"}, []string{"x.parquet"}},
		{[]string{"day=*"}, []string{"day=1/x.parquet"}},
		{[]string{"*day=?/*.parquet"}, []string{"_day=2/x.parquet", "day=1/x.parquet"}},
		{[]string{"[ab].parquet"}, []string{"a.parquet", "b.parquet"}},
		{[]string{"_SUCCESS"}, []string{"_SUCCESS"}},
		{[]string{"none0"}, []string{"none0"}},
	}
	for _, tt := range tests {
		var in []string
		for _, i := range tt.inputs {
			in = append(in, filepath.Join(dir, i))
		}
		found, err := List(context.Background(), vfs.OS, in)
		if err != nil {
			t.Errorf("%q: %v", tt.inputs, err)
			continue
		}
		var got []string
		for _, f := range found {
			got = append(got, f.RelPath)
			if st, err := os.Stat(f.Path); err != nil || !filepath.IsAbs(f.Path) || st.Size() != f.Size || st.ModTime().UnixNano() != f.ModTime {
				t.Errorf("%q: %+v, %v", tt.inputs, f, err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.inputs, got, tt.want)
		}
	}
}

func TestListErrors(t *testing.T) {
	dir := tree(t, "empty/", "only/_SUCCESS", "x.parquet")
	if err := os.Symlink(".", filepath.Join(dir, "only", "loop")); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"missing", "empty", "only", "*.csv", "[", "x.parquet/y"} {
		_, err := List(context.Background(), vfs.OS, []string{filepath.Join(dir, "x.parquet"), filepath.Join(dir, in)})
		var f *model.Failure
		if !errors.As(err, &f) {
			t.Errorf("%s: %v", in, err)
		}
		if in == "missing" && (f.Reason != model.ReasonUser || !errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("%s: %v, %v", in, f.Reason, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := List(ctx, vfs.OS, []string{dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestListFaultsSurface(t *testing.T) {
	dir := tree(t, "a/x.parquet", "a/y.parquet", "b/z.parquet")
	for i := int64(0); ; i++ {
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: i}
		_, err := List(context.Background(), fsys, []string{dir, filepath.Join(dir, "*", "*.parquet")})
		if !fsys.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, vfs.ErrInjected) {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
}
