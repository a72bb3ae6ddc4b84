package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
)

// everyType is a row source with a column of every type that DuckDB writes, the values at the edges of
// each, and nulls at every level.
const everyType = `SELECT i::INTEGER AS id,
	CASE WHEN i % 7 <> 0 THEN i % 3 = 0 END AS flag,
	CASE i % 5 WHEN 0 THEN -128 WHEN 1 THEN 127 WHEN 2 THEN i % 100 END::TINYINT AS i8,
	CASE i % 5 WHEN 0 THEN -32768 WHEN 1 THEN 32767 WHEN 2 THEN i END::SMALLINT AS i16,
	CASE i % 5 WHEN 0 THEN -2147483648 WHEN 1 THEN 2147483647 WHEN 2 THEN i END::INTEGER AS i32,
	CASE i % 5 WHEN 0 THEN -9223372036854775808 WHEN 1 THEN 9223372036854775807 WHEN 2 THEN i END::BIGINT AS i64,
	CASE i % 4 WHEN 0 THEN 255 WHEN 1 THEN i % 200 END::UTINYINT AS u8,
	CASE i % 4 WHEN 0 THEN 65535 WHEN 1 THEN i END::USMALLINT AS u16,
	CASE i % 4 WHEN 0 THEN 4294967295 WHEN 1 THEN i END::UINTEGER AS u32,
	CASE i % 4 WHEN 0 THEN 18446744073709551615 WHEN 1 THEN i END::UBIGINT AS u64,
	CASE i % 8 WHEN 0 THEN 'nan' WHEN 1 THEN 'inf' WHEN 2 THEN '-inf' WHEN 3 THEN '-0.0' WHEN 4 THEN '0.0' WHEN 5 THEN '1e-40' WHEN 6 THEN (i / 3)::VARCHAR END::FLOAT AS f32,
	CASE i % 8 WHEN 0 THEN 'nan' WHEN 1 THEN 'inf' WHEN 2 THEN '-inf' WHEN 3 THEN '-0.0' WHEN 4 THEN '0.0' WHEN 5 THEN '5e-324' WHEN 6 THEN (i / 3)::VARCHAR END::DOUBLE AS f64,
	CASE i % 4 WHEN 0 THEN '-99.99' WHEN 1 THEN '99.99' WHEN 2 THEN '0.05' END::DECIMAL(4, 2) AS d4,
	CASE i % 4 WHEN 0 THEN '-123456.789' WHEN 1 THEN (i % 100 / 8)::VARCHAR END::DECIMAL(9, 3) AS d9,
	CASE i % 4 WHEN 0 THEN '-9999999999999999.99' WHEN 1 THEN (i / 4)::VARCHAR END::DECIMAL(18, 2) AS d18,
	CASE i % 4 WHEN 0 THEN '-9999999999999999999999999999.9999999999' WHEN 1 THEN (i / 16)::VARCHAR END::DECIMAL(38, 10) AS d38,
	CASE i % 6 WHEN 0 THEN DATE '0001-01-01' WHEN 1 THEN DATE '9999-12-31' WHEN 2 THEN NULL ELSE DATE '1970-01-01' - i::INTEGER % 40 END AS day,
	CASE WHEN i % 6 > 0 THEN TIME '23:59:59.999999' - INTERVAL (i) SECOND END AS clock,
	CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN TIMESTAMP '1969-12-31 23:59:59.999999' ELSE TIMESTAMP '2024-02-29 12:00:00' + INTERVAL (i % 10) MINUTE + INTERVAL (i % 3 * 500) MILLISECOND END AS ts,
	CASE WHEN i % 6 > 0 THEN (TIMESTAMP '2024-02-29 12:00:00.123' + INTERVAL (i) HOUR)::TIMESTAMP_MS END AS ts_ms,
	CASE WHEN i % 6 > 0 THEN make_timestamp_ns(1700000000123456789 + i) END AS ts_ns,
	CASE WHEN i % 6 > 0 THEN '2024-02-29 12:00:00.5+02'::TIMESTAMPTZ + INTERVAL (i % 10) DAY END AS tstz,
	CASE WHEN i % 6 > 0 THEN md5('u' || i)::UUID END AS uuid,
	CASE i % 4 WHEN 0 THEN ''::BLOB WHEN 1 THEN '\x00\xFF\x80'::BLOB WHEN 2 THEN encode('blob ' || i) END AS bytes,
	CASE i % 9 WHEN 0 THEN '' WHEN 1 THEN 'ünïcödé 漢字 🦀' WHEN 2 THEN repeat('long ', i::INTEGER % 300) WHEN 3 THEN NULL ELSE 'text ' || i END AS text,
	CASE i % 3 WHEN 0 THEN 'small' WHEN 1 THEN 'large' END::ENUM('small', 'medium', 'large') AS size,
	CASE WHEN i % 5 > 0 THEN INTERVAL (i) DAY + INTERVAL (i % 13) MONTH + INTERVAL (i * 7) MILLISECOND END AS span,
	CASE WHEN i % 5 > 0 THEN ('{"i": ' || i || '}')::JSON END AS json,
	CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN [] ELSE [i, NULL, -i] END AS ints,
	CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN [] WHEN 2 THEN [NULL, []] ELSE [['a' || i, NULL], [], NULL, ['', 'b']] END AS lists,
	CASE WHEN i % 5 > 0 THEN {'a': i, 'b': CASE WHEN i % 2 = 0 THEN {'c': 'c' || i, 'd': CASE WHEN i % 4 = 0 THEN [i / 2, NULL] END} END} END AS struct,
	CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN [] ELSE [{'k': 'k' || i, 'v': [i]}, NULL, {'k': NULL, 'v': []}] END AS structs,
	CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN MAP {} ELSE MAP {'a' || i: i, 'b': NULL} END AS map,
	CASE WHEN i % 5 > 0 THEN MAP {i: [MAP {'x': i}, MAP {}]} END AS maps,
	CASE WHEN i % 2 > 0 THEN [[1.5::DECIMAL(5, 1), NULL]] END AS decimals
	FROM range(5000) t(i)`

// everyTypeSet writes two files of it.
func everyTypeSet(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	writeParquet(t, filepath.Join(dir, "a.parquet"), everyType+" WHERE i < 2000")
	writeParquet(t, filepath.Join(dir, "b.parquet"), everyType+" WHERE i >= 2000")
	return dir
}

func TestEveryTypeOfDuckDBSurvives(t *testing.T) {
	in := everyTypeSet(t)
	for _, flags := range [][]string{
		{"--by", "id", "-n", "5"},
		{"-n", "3", "--compression", "zstd", "--verify", "content"},
		{"--by", "text,d38,uuid,f64,ts", "-n", "7", "--row-group-size", "64KiB"},
		{"--no-shuffle", "--compression", "none"},
	} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			j := newJob(t)
			j.mustRepartition(t, in, flags...)
			exactlySameRows(t, in, j.out)
			mustSluice(t, "verify", in, j.out)
		})
	}
}

func TestColumnsOfMostTypesBecomeDirectories(t *testing.T) {
	in := everyTypeSet(t)
	for _, column := range []string{"flag", "i8", "d4", "d9", "day", "ts", "tstz", "size"} {
		t.Run(column, func(t *testing.T) {
			j := newJob(t)
			j.mustRepartition(t, in, "--partition-by", column)
			exactlySameRows(t, in, j.out, column)
			mustSluice(t, "verify", in, j.out)
		})
	}
	t.Run("three at once", func(t *testing.T) {
		j := newJob(t)
		j.mustRepartition(t, in, "--partition-by", "day,flag,d4")
		dataFiles(t, j.out, 3)
		exactlySameRows(t, in, j.out, "day", "flag", "d4")
		mustSluice(t, "verify", in, j.out)
	})
}

func TestTextsThatAreHardAsDirectoryNames(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.parquet")
	writeParquet(t, in, `SELECT i AS id, texts[1 + i % len(texts)] AS text FROM range(1000) t(i),
		(SELECT ['plain', '', NULL, 'a/b', '..', '.', '.hidden', '_hidden', 'k=v', '100%', '%41', 'a b', ' ', 'a+b', 'a:b', '*', '?x=[1]&y={2}',
			'"quoted"', '''', '\', '~', '#', 'tab' || chr(9) || 'tab', 'line' || chr(10) || 'line', 'ünïcödé', '漢字', '🦀',
			'__HIVE_DEFAULT_PARTITION__', 'x.parquet', 'x.tmp', repeat('long', 60)] AS texts)`)
	j := newJob(t)
	r := j.mustRepartition(t, in, "--partition-by", "text")
	exactlySameRows(t, in, j.out, "text")
	// Every 31st row has "", which reads as null.
	if want := int64(33); r.EmptyText != want {
		t.Errorf("the receipt counts %d empty texts that became null, want %d", r.EmptyText, want)
	}
	if n := len(directories(dataFiles(t, j.out, 1))); n != 30 {
		t.Errorf("%d directories, want 30: null and the empty text share one", n)
	}
	mustSluice(t, "verify", in, j.out)
}
