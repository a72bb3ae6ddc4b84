package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// oneClearLine checks that the program said what is wrong in one line that names the thing.
func oneClearLine(t *testing.T, r result, names ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(r.stderr, "\n"), "\n")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "sluice: ") || len(lines[0]) > 600 {
		t.Errorf("want one clear line on stderr\n%s", r)
	}
	for _, name := range names {
		if !strings.Contains(r.stderr, name) {
			t.Errorf("the error does not name %s\n%s", name, r)
		}
	}
	for _, trace := range []string{"goroutine", "panic", ".go:", "runtime error"} {
		if strings.Contains(r.stderr, trace) {
			t.Errorf("%q is not for users\n%s", trace, r)
		}
	}
}

func TestBadInputGetsOneClearLineAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	good := smallData(t, 0, 1000)
	text, err := os.ReadFile(filepath.Join(good, "a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	// with returns an input of a good file and, beside it, a file with the content.
	with := func(name string, content []byte) string {
		in := filepath.Join(dir, name)
		for path, bytes := range map[string][]byte{"a.parquet": text, name: content} {
			if err := os.MkdirAll(in, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(in, path), bytes, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		return in
	}
	edited := func(edit func(b []byte)) []byte {
		b := append([]byte(nil), text...)
		edit(b)
		return b
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	mixed := with("types.parquet", nil)
	writeParquet(t, filepath.Join(mixed, "types.parquet"), "SELECT i AS id, 'kind' AS kind, 'word' AS word FROM range(10) t(i)")
	lacking := with("lacking.parquet", nil)
	writeParquet(t, filepath.Join(lacking, "lacking.parquet"), "SELECT i::INTEGER AS id, 'kind' AS kind FROM range(10) t(i)")

	// What the user can put right in the command is 2, a file that is damaged 1.
	partition := []string{"--partition-by", "kind"}
	cases := []struct {
		name  string
		in    string
		flags []string
		code  int
		names []string
	}{
		{"missing path", filepath.Join(dir, "nowhere"), partition, 2, []string{filepath.Join(dir, "nowhere")}},
		{"glob without a match", filepath.Join(dir, "no*thing"), partition, 2, []string{"no*thing"}},
		{"empty directory", filepath.Join(dir, "empty"), partition, 2, []string{filepath.Join(dir, "empty")}},
		{"text file with a Parquet name", with("text.parquet", []byte("id,kind\n1,a\n2,b\n")), partition, 1, []string{"text.parquet"}},
		{"truncated file", with("cut.parquet", text[:len(text)*2/3]), partition, 1, []string{"cut.parquet"}},
		{"nothing but the magic", with("magic.parquet", []byte("PAR1PAR1")), partition, 1, []string{"magic.parquet"}},
		{"footer longer than the file", with("footer.parquet", edited(func(b []byte) {
			binary.LittleEndian.PutUint32(b[len(b)-8:], 1<<30)
		})), partition, 1, []string{"footer.parquet"}},
		{"footer of noise", with("noise.parquet", edited(func(b []byte) {
			size := int(binary.LittleEndian.Uint32(b[len(b)-8:]))
			noise := rand.New(rand.NewPCG(1, 2))
			for i := len(b) - 8 - size; i < len(b)-8; i++ {
				b[i] = byte(noise.Uint32())
			}
		})), partition, 1, []string{"noise.parquet"}},
		{"column of another type", mixed, partition, 2, []string{"types.parquet", "id"}},
		{"column that a file lacks", lacking, partition, 2, []string{"lacking.parquet", "word"}},
		{"column that does not exist", good, []string{"--partition-by", "kimd"}, 2, []string{"kimd", "kind"}},
		{"hash column that does not exist", good, []string{"--by", "idd", "-n", "4"}, 2, []string{"idd", "id"}},
		{"bad size", good, append(partition, "--target-file-size", "12 parsecs"), 2, []string{"--target-file-size", "12 parsecs"}},
		{"size that is too small", good, append(partition, "--target-file-size", "1KiB"), 2, []string{"--target-file-size"}},
		{"unknown flag", good, append(partition, "--traget-file-size", "1MiB"), 2, []string{"--traget-file-size", "--target-file-size"}},
		{"unknown mode", good, append(partition, "--mode", "replace"), 2, []string{"--mode", "replace"}},
		{"unknown codec", good, append(partition, "--compression", "rar"), 2, []string{"--compression", "rar"}},
		{"negative number", good, []string{"-n", "-4"}, 2, []string{"-n"}},
		{"nothing to partition by", good, nil, 2, []string{"--partition-by"}},
		{"output scheme that is not written", good, append(partition, "--out", "gs://bucket/mart"), 2, []string{"gs://bucket/mart"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := contents(t, dir)
			j := newJob(t)
			r := j.repartition(t, c.in, append([]string{"--progress", "none"}, c.flags...)...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			oneClearLine(t, r, c.names...)
			j.wroteNothing(t)
			if len(contents(t, dir)) != len(before) {
				t.Error("something was left in the input")
			}
		})
	}
}

func TestUnwritableOutputIsNamed(t *testing.T) {
	in := smallData(t, 0, 100)
	j := newJob(t)
	// Not a matter of permissions, which root does not have to mind.
	if err := os.WriteFile(j.out, []byte("a file"), 0o666); err != nil {
		t.Fatal(err)
	}
	file := j.out
	for _, out := range []string{file, filepath.Join(file, "mart")} {
		r := sluice(t, "repartition", in, "--out", out, "--temp-dir", j.temp, "--partition-by", "kind", "--progress", "none")
		if r.code != 1 && r.code != 2 && r.code != 4 {
			t.Errorf("exit code %d", r.code)
		}
		oneClearLine(t, r, file)
		if text, err := os.ReadFile(file); err != nil || string(text) != "a file" {
			t.Errorf("the file in the way was touched: %v", err)
		}
		j.leftNothing(t)
	}
}

// TestEveryByteOfAFooterMayBeWrong changes bytes all over a footer. The program may find that the
// footer still makes sense, but it must not die of it, and not lose rows in silence.
func TestEveryByteOfAFooterMayBeWrong(t *testing.T) {
	in := smallData(t, 0, 1000)
	path := filepath.Join(in, "a.parquet")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int(binary.LittleEndian.Uint32(text[len(text)-8:]))
	first, last := len(text)-8-size, len(text)-8
	for i := range 60 {
		at := first + (last-first)*i/60
		t.Run(fmt.Sprintf("byte %d", at), func(t *testing.T) {
			bad := append([]byte(nil), text...)
			bad[at] ^= 0xff
			if err := os.WriteFile(path, bad, 0o666); err != nil {
				t.Fatal(err)
			}
			j := newJob(t)
			r := j.repartition(t, in, "--by", "id", "-n", "2", "--progress", "none", "--memory-limit", "512MiB")
			switch r.code {
			case 0:
				if got := readReceipt(t, j.receipt); got.RowsIn != 1000 || got.RowsOut != 1000 {
					t.Errorf("%d rows in and %d out of a file with 1000", got.RowsIn, got.RowsOut)
				}
			case 1, 2: // 2: the name of a column may have changed
				oneClearLine(t, r)
				j.wroteNothing(t)
			default:
				t.Errorf("exit code %d\n%s", r.code, r)
			}
		})
	}
}

func TestAFlippedBitInAPageIsFound(t *testing.T) {
	in := filepath.Join(t.TempDir(), "landing")
	mustSluice(t, "gen", "events", "--out", in, "--rows", "20000", "--files", "2")
	files := input(t, in).Files
	text, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 0x10
	if err := os.WriteFile(files[1], text, 0o666); err != nil {
		t.Fatal(err)
	}
	j := newJob(t)
	r := j.repartition(t, in, "--partition-by", "type", "--progress", "none")
	r.mustExit(t, 1)
	oneClearLine(t, r, filepath.Base(files[1]))
	j.wroteNothing(t)
}
