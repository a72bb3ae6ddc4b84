package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/model"
)

// TestSplitsAreSparks packs the files of every case that Spark itself answered. Among files of equal
// size Spark's order is the file system's, so starts and lengths are compared, not names.
func TestSplitsAreSparks(t *testing.T) {
	b, err := os.ReadFile("testdata/splits.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		MaxPartitionBytes int64 `json:"max_partition_bytes"`
		OpenCost          int64 `json:"open_cost"`
		MinPartitions     int   `json:"min_partitions"`
		Splittable        bool
		Sizes             []int64
		Bins              [][][3]any
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 100 {
		t.Fatalf("%d cases", len(cases))
	}
	for i, c := range cases {
		p := Packing{SplitSize: c.MaxPartitionBytes, OpenCost: c.OpenCost, Slots: c.MinPartitions}
		maxSplit := p.MaxSplitBytes(c.Sizes)
		var ranges []Range
		for f, size := range c.Sizes {
			if c.Splittable {
				ranges = append(ranges, CutFile(f, size, maxSplit)...)
			} else if size > 0 {
				ranges = append(ranges, Range{File: f, Length: size})
			}
		}
		var got, want []string
		for _, bin := range Pack(ranges, maxSplit, c.OpenCost) {
			s := ""
			for _, r := range bin {
				s += fmt.Sprintf("[%d %d]", r.Start, r.Length)
			}
			got = append(got, s)
		}
		for _, bin := range c.Bins {
			s := ""
			for _, r := range bin {
				s += "[" + strconv.FormatFloat(r[1].(float64), 'f', -1, 64) + " " + strconv.FormatFloat(r[2].(float64), 'f', -1, 64) + "]"
			}
			want = append(want, s)
		}
		// Ranges of equal length may stand in any order among themselves.
		if !slices.Equal(lengthsOnly(got, ranges), lengthsOnly(want, ranges)) {
			t.Errorf("case %d: got %v\nwant %v", i, got, want)
		}
	}
}

// lengthsOnly drops the starts where several ranges share a length: their order is not decided.
func lengthsOnly(bins []string, ranges []Range) []string {
	count := map[int64]int{}
	for _, r := range ranges {
		count[r.Length]++
	}
	var out []string
	for _, b := range bins {
		s := ""
		for len(b) > 0 {
			var start, length int64
			var n int
			if _, err := fmt.Sscanf(b, "[%d %d]", &start, &length); err != nil {
				return nil
			}
			n = len(fmt.Sprintf("[%d %d]", start, length))
			b = b[n:]
			if count[length] > 1 {
				start = -1
			}
			s += fmt.Sprintf("[%d %d]", start, length)
		}
		out = append(out, s)
	}
	return out
}

func TestEveryRowGroupIsOwnedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) File {
			f := File{Size: 4}
			for range rapid.IntRange(0, 6).Draw(t, "groups") {
				g := RowGroup{Start: f.Size, Bytes: rapid.Int64Range(1, 1<<20).Draw(t, "bytes"), Rows: rapid.Int64Range(0, 100).Draw(t, "rows")}
				f.RowGroups = append(f.RowGroups, g)
				f.Size += g.Bytes
			}
			f.Size += 100
			return f
		}), 0, 20).Draw(t, "files")
		for i := range files {
			files[i].Path = strconv.Itoa(i)
		}
		p := Packing{
			SplitSize: rapid.Int64Range(1, 1<<21).Draw(t, "split"),
			OpenCost:  rapid.Int64Range(0, 1<<16).Draw(t, "cost"),
			Slots:     rapid.IntRange(1, 16).Draw(t, "slots"),
		}
		seen := map[string]int{}
		for i, s := range Splits(files, p) {
			if s.Index != i || s.Rows == 0 {
				t.Fatalf("split %d has index %d and %d rows", i, s.Index, s.Rows)
			}
			for _, c := range s.Chunks {
				for _, rg := range c.RowGroups {
					seen[fmt.Sprintf("%s/%d", c.Path, rg)]++
				}
			}
		}
		for _, f := range files {
			for rg, g := range f.RowGroups {
				want := 1
				if g.Rows == 0 {
					want = 0
				}
				if n := seen[fmt.Sprintf("%s/%d", f.Path, rg)]; n != want {
					t.Fatalf("row group %s/%d with %d rows is owned %d times", f.Path, rg, g.Rows, n)
				}
			}
		}
	})
}

func TestFuseKeepsTheOrderOfChunks(t *testing.T) {
	conf := model.JobConf{Execution: model.ExecutionFused, Partitioning: model.Partitioning{Kind: model.PartitionValue}}
	splits := []model.Split{
		{Index: 0, Rows: 3, Bytes: 30, Chunks: []model.SplitChunk{{Path: "b"}, {Path: "a"}}},
		{Index: 1, Rows: 4, Bytes: 40, Chunks: []model.SplitChunk{{Path: "c"}}},
	}
	got := Fuse(conf, splits)
	if len(got) != 1 || got[0].Rows != 7 || got[0].Bytes != 70 || len(got[0].Chunks) != 3 || got[0].Chunks[2].Path != "c" {
		t.Errorf("got %+v", got)
	}
	if len(splits[0].Chunks) != 2 {
		t.Error("the planned splits were changed")
	}
	for _, conf := range []model.JobConf{
		{Partitioning: conf.Partitioning},
		{Execution: model.ExecutionStaged, Partitioning: conf.Partitioning},
		{Execution: model.ExecutionFused, Partitioning: model.Partitioning{Kind: model.PartitionNone}},
	} {
		if got := Fuse(conf, splits); len(got) != 2 {
			t.Errorf("%+v: %d splits", conf, len(got))
		}
	}
}
