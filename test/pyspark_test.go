package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sparkPlacement prints where Spark puts the rows: {"type": [partition, rows]}.
const sparkPlacement = `
import json, sys
from pyspark.sql import SparkSession, functions as F
spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
         .config("spark.sql.session.timeZone", "UTC").getOrCreate())
frame = spark.read.parquet(sys.argv[1]).select("type").repartition(16, "type")
rows = frame.groupBy("type", F.spark_partition_id().alias("p")).count().collect()
placed = {}
for r in rows:
    assert r["type"] not in placed, "one type in two partitions"
    placed[r["type"]] = [r["p"], r["count"]]
print("PLACED " + json.dumps(placed))
`

func TestHashPartitionsAreThoseOfSpark(t *testing.T) {
	python := os.Getenv("SLUICE_TEST_PYSPARK")
	if python == "" {
		t.Skip("set SLUICE_TEST_PYSPARK to a Python that has pyspark to ask Spark where rows belong (needs Java)")
	}
	in := events(t, 200_000, 20)
	out, err := exec.CommandContext(t.Context(), python, "-c", sparkPlacement, in).Output()
	if err != nil {
		t.Fatalf("asking Spark: %v\n%s", err, out)
	}
	var want map[string][2]int
	_, placed, _ := strings.Cut(string(out), "PLACED ")
	if err := json.Unmarshal([]byte(placed), &want); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(want) != eventTypes {
		t.Fatalf("Spark placed %d types, want %d:\n%s", len(want), eventTypes, out)
	}

	j := newJob(t)
	j.mustRepartition(t, in, "--by", "type", "-n", "16")
	rows, err := judge.Query(t.Context(), `SELECT json_group_object(type, [part, rows]) FROM (
		SELECT type, regexp_extract(filename, '/part-([0-9]+)-', 1)::INTEGER AS part, count(*) AS rows
		FROM read_parquet('`+filepath.Join(j.out, "*.parquet")+`', filename = true) GROUP BY ALL)`)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][2]int
	if err := json.Unmarshal([]byte(*rows[0][0]), &got); err != nil {
		t.Fatal(err)
	}
	for name, place := range want {
		if got[name] != place {
			t.Errorf("type %q: partition and rows %v, Spark says %v", name, got[name], place)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d types, Spark has %d", len(got), len(want))
	}
	sameRows(t, in, j.out)
}
