package hive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/model"
)

// testdata/hive_paths.json holds the directories that Spark 4.3 made: text of the value (binary as
// hexadecimal) and name.
func TestDirEqualsSpark(t *testing.T) {
	b, err := os.ReadFile("testdata/hive_paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Type  string  `json:"type"`
		Value *string `json:"value"`
		Dir   string  `json:"dir"`
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 100 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var value []byte
		if c.Value != nil {
			value = []byte(*c.Value)
		}
		if c.Type == "binary" && c.Value != nil {
			if value, err = hex.DecodeString(*c.Value); err != nil {
				t.Fatal(err)
			}
		}
		want := c.Dir
		if c.Value != nil && *c.Value == DefaultPartition {
			want = "v=%5F_HIVE_DEFAULT_PARTITION__" // Spark would read it back as null
		}
		got, err := Dir("v", value, c.Value == nil)
		if err != nil || got != want {
			t.Errorf("%s %q: got %q, %v; want %q", c.Type, value, got, err, want)
		}
		column, text, null, ok := ParseDir(got)
		if wantNull := len(value) == 0; !ok || column != "v" || null != wantNull || text != string(value) {
			t.Errorf("%q: read back as %q, %q, %v, %v", got, column, text, null, ok)
		}
	}
}

func TestParseDirReadsWhatDirWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		column := text(t, "column", 1)
		value := text(t, "value", 0)
		dir, err := Dir(string(column), value, false)
		if err != nil {
			if len(column)+len(value) > 80 || bytes.IndexByte(column, 0) >= 0 || bytes.IndexByte(value, 0) >= 0 {
				return
			}
			t.Fatal(err)
		}
		if !utf8.ValidString(dir) || len(dir) > MaxName || strings.ContainsAny(dir, "/\\\x00") || dir[0] == '.' {
			t.Fatalf("%q is not a safe name", dir)
		}
		c, v, null, ok := ParseDir(dir)
		if !ok || c != string(column) || v != string(value) || null != (len(value) == 0) {
			t.Fatalf("%q: read back as %q, %q, %v, %v", dir, c, v, null, ok)
		}
	})
}

// text draws plain text, names that mean something, or any bytes.
func text(t *rapid.T, label string, least int) []byte {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), least, 40),
		rapid.Map(rapid.StringN(least, 30, 120), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.SampledFrom([]string{DefaultPartition, "%5F_HIVE_DEFAULT_PARTITION__", "..", ".", "a=b", "%", "%2", "_x"}),
			func(s string) []byte { return []byte(s) }),
	).Draw(t, label)
}

func TestNamesThatNoFileSystemTakes(t *testing.T) {
	long := bytes.Repeat([]byte("x"), MaxName-2)
	if name, err := Dir("v", long, false); err != nil || len(name) != MaxName {
		t.Errorf("%d bytes: %v", len(name), err)
	}
	for name, c := range map[string]struct {
		column string
		value  []byte
	}{
		"one byte too long": {"v", append(long, 'x')},
		"long by escaping":  {"v", bytes.Repeat([]byte("/"), 85)},
		"NUL in value":      {"v", []byte("a\x00b")},
		"NUL in column":     {"v\x00", []byte("a")},
		"no column":         {"", []byte("a")},
	} {
		var f *model.Failure
		if got, err := Dir(c.column, c.value, false); !errors.As(err, &f) || f.Reason != model.ReasonUser {
			t.Errorf("%s: got %q, %v", name, got, err)
		} else if c.column == "v" && !strings.Contains(f.Message, `"v"`) {
			t.Errorf("%s: %q does not name the column", name, f.Message)
		}
	}
}

func TestDirStaysBelowItsParent(t *testing.T) {
	for column, want := range map[string]string{"..": "%2E.=..", ".": "%2E=..", "a/../b": "a%2F..%2Fb=..", ".x": "%2Ex=.."} {
		got, err := Dir(column, []byte(".."), false)
		if err != nil || got != want {
			t.Errorf("column %q: got %q, %v; want %q", column, got, err, want)
		}
		if c, _, _, ok := ParseDir(got); !ok || c != column {
			t.Errorf("%q: read back as column %q", got, c)
		}
	}
}

func TestParseDirOfOthers(t *testing.T) {
	for dir, want := range map[string]string{
		"v=a%2fb": "a/b", "v=100%": "100%", "v=%zz": "%zz", "v=%4": "%4", "v=a=b": "a=b", "v=": "", "v=%00": "\x00", "v=%25%32%35": "%25",
	} {
		if c, v, null, ok := ParseDir(dir); !ok || null || c != "v" || v != want {
			t.Errorf("%q: got %q, %q, %v, %v", dir, c, v, null, ok)
		}
	}
	for _, dir := range []string{"", "v", "=x", "a/v=x", "_SUCCESS"} {
		if _, _, _, ok := ParseDir(dir); ok {
			t.Errorf("%q is not a partition directory", dir)
		}
	}
}

func FuzzParseDir(f *testing.F) {
	for _, s := range []string{"type=a%2Fb", "v=__HIVE_DEFAULT_PARTITION__", "v=%5F_HIVE_DEFAULT_PARTITION__", "v=", "=", "%=%", "v=%ff", "a%3Db=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dir string) {
		column, value, null, ok := ParseDir(dir)
		if !ok {
			if column != "" || value != "" || null {
				t.Fatal("a refused name has no parts")
			}
			return
		}
		if len(column)+len(value) > len(dir) {
			t.Fatalf("%q grew to %q, %q", dir, column, value)
		}
		// What was read can be written again, and then reads the same.
		again, err := Dir(column, []byte(value), null)
		if err != nil {
			return
		}
		c, v, n, ok := ParseDir(again)
		if !ok || c != column || v != value || n != (null || value == "") {
			t.Fatalf("%q: %q, %q, %v became %q: %q, %q, %v", dir, column, value, null, again, c, v, n)
		}
	})
}
