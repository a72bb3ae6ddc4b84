package e2e

import (
	"path/filepath"
	"testing"
)

func TestVerifyFindsWhatDiffers(t *testing.T) {
	const rows = "SELECT i::INTEGER AS id, (i % 5)::INTEGER AS day, 'w' || i AS word, [i, i + 1] AS list FROM range(10000) t(i)"
	dir := t.TempDir()
	write := func(name, query string) string {
		writeParquet(t, filepath.Join(dir, name, "x.parquet"), query)
		return filepath.Join(dir, name)
	}
	edit := func(change string) string { return "SELECT * REPLACE (" + change + ") FROM (" + rows + ")" }
	in := write("in", rows)
	j := newJob(t)
	j.mustRepartition(t, in, "--partition-by", "day", "--by", "id", "-n", "3")

	cases := []struct {
		name, other string
		code        int
	}{
		{"itself", in, 0},
		{"the same rows in Hive directories of integers", j.out, 0},
		{"the same rows in another order", write("order", rows+" ORDER BY hash(i)"), 0},
		{"one row less", write("lost", rows+" WHERE i <> 77"), 3},
		{"one row twice, another lost", write("twice", rows+" WHERE i <> 77 UNION ALL ("+rows+" WHERE i = 78)"), 3},
		{"one value changed", write("changed", edit("CASE id WHEN 77 THEN 'x' ELSE word END AS word")), 3},
		{"two values of a column swapped", write("swapped", edit("CASE id WHEN 77 THEN 'w78' WHEN 78 THEN 'w77' ELSE word END AS word")), 3},
		{"two lists swapped", write("lists", edit("CASE id WHEN 77 THEN [78, 79] WHEN 78 THEN [77, 78] ELSE list END AS list")), 3},
		{"a column less", write("column", "SELECT * EXCLUDE word FROM ("+rows+")"), 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sluice(t, "verify", in, c.other).mustExit(t, c.code)
			sluice(t, "verify", c.other, in).mustExit(t, c.code)
		})
	}
}

func TestVerifyReadsDirectoriesWithTheOthersTypes(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.parquet")
	writeParquet(t, in, "SELECT i AS id, '00' || (i % 3) AS code FROM range(100) t(i)")
	j := newJob(t)
	j.mustRepartition(t, in, "--partition-by", "code")
	mustSluice(t, "verify", in, j.out)
	mustSluice(t, "verify", j.out, in)
}
