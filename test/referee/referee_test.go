package referee

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rows is the data of these tests: a column of every kind that hashes could treat alike.
const rows = `SELECT i::INTEGER AS id, 'type ' || i % 7 AS type, CASE WHEN i % 5 <> 1 THEN i * 0.5::DOUBLE END AS amount,
	[i, i + 1] AS list, {'a': i, 'b': [{'c': 'x' || i}]} AS nested, MAP {'k': i} AS map, ('a' || i)::BLOB AS bytes
	FROM range(1000) t(i)`

func TestEqualDatasetsAreEqual(t *testing.T) {
	r := newReferee(t)
	in := write(t, r, "in", rows)
	// Another order and another division into files and row groups.
	dir := t.TempDir()
	exec(t, r, fmt.Sprintf("COPY (%s ORDER BY hash(i)) TO '%s/a.parquet' (FORMAT parquet, ROW_GROUP_SIZE 100)", rows+" WHERE i < 300", dir))
	exec(t, r, fmt.Sprintf("COPY (%s) TO '%s/b.parquet' (FORMAT parquet)", rows+" WHERE i >= 300", dir))
	if err := judge(t, r, in, dir); err != nil {
		t.Error(err)
	}
}

func TestTheRefereeFindsEveryDifference(t *testing.T) {
	r := newReferee(t)
	in := write(t, r, "in", rows)
	edit := func(change string) string { return "SELECT * REPLACE (" + change + ") FROM (" + rows + ")" }
	cases := []struct{ name, query, want string }{
		{"a lost row", rows + " WHERE i <> 500", "1000 rows became 999"},
		{"a doubled row", rows + " UNION ALL (" + rows + " WHERE i = 500)", "1000 rows became 1001"},
		{"a row lost and another doubled", rows + " WHERE i <> 500 UNION ALL (" + rows + " WHERE i = 501)", "the values differ in the columns id, type, amount, list, nested, map, bytes"},
		{"a value changed", edit("CASE id WHEN 3 THEN 'type 4' ELSE type END AS type"), "the values differ in the columns type"},
		{"a value that became null", edit("CASE WHEN id <> 3 THEN amount END AS amount"), "the values differ in the columns amount"},
		{"a value inside a list of structs", edit("CASE id WHEN 3 THEN {'a': 3::BIGINT, 'b': [{'c': 'x4'}]} ELSE nested END AS nested"), "the values differ in the columns nested"},
		{"a map's value", edit("CASE id WHEN 3 THEN MAP {'k': 4::BIGINT} ELSE map END AS map"), "the values differ in the columns map"},
		{"zero that became minus zero", edit("CASE id WHEN 0 THEN '-0.0'::DOUBLE ELSE amount END AS amount"), "the values differ in the columns amount"},
		{"two values swapped between rows", edit("CASE id WHEN 10 THEN 'type 4' WHEN 11 THEN 'type 3' ELSE type END AS type"), "they lie in other rows"},
		{"two nulls swapped with values", edit("CASE id WHEN 6 THEN 2.5 WHEN 5 THEN NULL ELSE amount END AS amount"), "they lie in other rows"},
		{"the last column swapped between rows", edit("CASE id WHEN 10 THEN 'a11'::BLOB WHEN 11 THEN 'a10'::BLOB ELSE bytes END AS bytes"), "they lie in other rows"},
		{"a column lost", "SELECT * EXCLUDE amount FROM (" + rows + ")", "the columns differ"},
		{"a column of another type", edit("id::BIGINT AS id"), "the columns differ"},
		{"columns in another order", "SELECT type, id, * EXCLUDE (type, id) FROM (" + rows + ")", "the columns differ"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := judge(t, r, in, write(t, r, "out", c.query))
			if err == nil {
				t.Fatal("the referee found nothing")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the referee says %q, want %q", err, c.want)
			}
		})
	}
}

func TestDirectoriesAreColumnsOfTheInputsTypes(t *testing.T) {
	r := newReferee(t)
	const query = `SELECT i, CASE i % 4 WHEN 0 THEN 'a/b=c%d ' WHEN 1 THEN '' WHEN 2 THEN NULL ELSE '0042' END AS text,
		DATE '2024-02-28' + (i % 3)::INTEGER AS day FROM range(100) t(i)`
	in := write(t, r, "in", query)
	dir := t.TempDir()
	write := func(path, where string) {
		t.Helper()
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(at, 0o777); err != nil {
			t.Fatal(err)
		}
		exec(t, r, fmt.Sprintf("COPY (SELECT i FROM (%s) WHERE %s) TO '%s/x.parquet' (FORMAT parquet)", query, where, at))
	}
	for text, where := range map[string]string{
		"text=a%2Fb%3Dc%25d ":             "text LIKE 'a%'",
		"text=__HIVE_DEFAULT_PARTITION__": "coalesce(text, '') = ''",
		"text=0042":                       "text = '0042'",
	} {
		for _, day := range []string{"2024-02-28", "2024-02-29", "2024-03-01"} {
			write(text+"/day="+day, where+" AND day = '"+day+"'")
		}
	}
	if err := judge(t, r, in, dir, "text", "day"); err != nil {
		t.Error(err)
	}
	if err := os.Rename(filepath.Join(dir, "text=0042"), filepath.Join(dir, "text=42")); err != nil {
		t.Fatal(err)
	}
	if err := judge(t, r, in, dir, "text", "day"); err == nil || !strings.Contains(err.Error(), "columns text") {
		t.Errorf("a directory with another value: the referee says %v", err)
	}
}

func TestSchemasAreComparedNodeForNode(t *testing.T) {
	r := newReferee(t)
	in := write(t, r, "in", rows) + "/x.parquet"
	without := func(columns string) string {
		return write(t, r, "out", "SELECT * EXCLUDE ("+columns+") FROM ("+rows+")")
	}
	for _, dropped := range [][]string{{"type"}, {"nested"}, {"id", "list"}} {
		out, err := r.Input(t.Context(), without(strings.Join(dropped, ", ")))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CompareSchemas(t.Context(), in, out, dropped...); err != nil {
			t.Errorf("without %v: %v", dropped, err)
		}
		if err := r.CompareSchemas(t.Context(), in, out); err == nil {
			t.Errorf("without %v: the referee did not see that columns are gone", dropped)
		}
	}
	renamed, err := r.Input(t.Context(), write(t, r, "out", "SELECT * REPLACE ({'a': 1::BIGINT, 'b': [{'d': 'x'}]} AS nested) FROM ("+rows+")"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CompareSchemas(t.Context(), in, renamed); err == nil || !strings.Contains(err.Error(), "want\n\tc ") {
		t.Errorf("another name deep inside: the referee says %v", err)
	}
}

// judge compares in both ways, which must agree.
func judge(t *testing.T, r *Referee, in, out string, partitionBy ...string) error {
	t.Helper()
	input, err := r.Input(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	output, err := r.Output(t.Context(), out, input, partitionBy...)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Compare(t.Context(), input, output, partitionBy...)
	exact := r.CompareExactly(t.Context(), input, output, partitionBy...)
	if (err == nil) != (exact == nil) {
		t.Errorf("the two ways to compare disagree: by hashes %v; row by row %v", err, exact)
	}
	return err
}

func newReferee(t *testing.T) *Referee {
	t.Helper()
	r, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func exec(t *testing.T, r *Referee, statement string) {
	t.Helper()
	if err := r.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// write writes the query's rows as x.parquet into a new directory, and returns that.
func write(t *testing.T, r *Referee, name, query string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	exec(t, r, fmt.Sprintf("COPY (%s) TO '%s/x.parquet' (FORMAT parquet)", query, dir))
	return dir
}
