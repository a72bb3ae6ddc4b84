package plan

import (
	"cmp"
	"slices"

	"github.com/sluice-engine/sluice/model"
)

// Packing holds the knobs of split planning, with Spark's meaning: spark.sql.files.maxPartitionBytes,
// openCostInBytes and minPartitionNum.
type Packing struct {
	SplitSize int64 // bytes; upper bound of a split
	OpenCost  int64 // bytes; what opening one more file costs, as if it were read
	Slots     int   // how many tasks can run at a time; the work is spread over all of them
}

// MaxSplitBytes is min(SplitSize, max(OpenCost, total/Slots)) where total counts every non-empty file
// with its open cost (Spark's FilePartition.maxSplitBytes).
func (p Packing) MaxSplitBytes(sizes []int64) int64 {
	var total int64
	for _, s := range sizes {
		if s > 0 {
			total += s + p.OpenCost
		}
	}
	return min(p.SplitSize, max(p.OpenCost, total/int64(max(p.Slots, 1))))
}

// Range is a byte range of a file, File being an index into what the caller listed.
type Range struct {
	File   int
	Start  int64
	Length int64
}

// CutFile cuts a file of size bytes into ranges of at most maxSplit. There is no slack for the tail:
// maxSplit + 1 bytes make a second range of one byte, as in Spark. An empty file makes none.
func CutFile(file int, size, maxSplit int64) []Range {
	var rs []Range
	for start := int64(0); start < size; start += max(maxSplit, 1) {
		rs = append(rs, Range{File: file, Start: start, Length: min(max(maxSplit, 1), size-start)})
	}
	return rs
}

// Pack puts ranges into bins as Spark does: longest first (stable), next fit. A bin is closed when the
// next range does not fit; the open cost counts only for what is inside already, so that a range of
// exactly maxSplit fits.
func Pack(ranges []Range, maxSplit, openCost int64) [][]Range {
	ranges = slices.Clone(ranges)
	slices.SortStableFunc(ranges, func(a, b Range) int { return cmp.Compare(b.Length, a.Length) })
	var bins [][]Range
	var bin []Range
	var size int64
	for _, r := range ranges {
		if size+r.Length > maxSplit && len(bin) > 0 {
			bins = append(bins, bin)
			bin, size = nil, 0
		}
		bin = append(bin, r)
		size += r.Length + openCost
	}
	if len(bin) > 0 {
		bins = append(bins, bin)
	}
	return bins
}

// File is what split planning knows of an input file.
type File struct {
	Path, RelPath string
	Size          int64
	ModTime       int64 // Unix nanoseconds
	RowGroups     []RowGroup
}

// RowGroup is where a row group lies and what it holds.
type RowGroup struct {
	Start int64 // offset of its first page
	Bytes int64 // compressed
	Rows  int64
}

// Splits packs files into splits. Files are cut and packed as Spark does it, but a split owns whole
// row groups, each by the midpoint rule (parquet-java's filterFileMetaDataByMidpoint: start <= middle
// < end), and ranges that own none are dropped before packing: there are no empty tasks.
func Splits(files []File, p Packing) []model.Split {
	sizes := make([]int64, len(files))
	for i, f := range files {
		sizes[i] = f.Size
	}
	maxSplit := p.MaxSplitBytes(sizes)
	var ranges []Range
	owned := map[Range][]int{}
	for i, f := range files {
		cut := CutFile(i, f.Size, maxSplit)
		for rg, g := range f.RowGroups {
			if g.Rows == 0 {
				continue
			}
			n := int((g.Start + g.Bytes/2) / max(maxSplit, 1))
			r := cut[min(n, len(cut)-1)]
			if len(owned[r]) == 0 {
				ranges = append(ranges, r)
			}
			owned[r] = append(owned[r], rg)
		}
	}
	var splits []model.Split
	for i, bin := range Pack(ranges, maxSplit, p.OpenCost) {
		s := model.Split{Index: i}
		for _, r := range bin {
			s.Chunks = append(s.Chunks, files[r.File].chunk(owned[r]))
		}
		for _, c := range s.Chunks {
			s.Rows += c.Rows
			s.Bytes += c.Bytes
		}
		splits = append(splits, s)
	}
	return splits
}

func (f File) chunk(rowGroups []int) model.SplitChunk {
	c := model.SplitChunk{Path: f.Path, RelPath: f.RelPath, FileSize: f.Size, ModTime: f.ModTime, RowGroups: rowGroups}
	for _, rg := range rowGroups {
		c.Rows += f.RowGroups[rg].Rows
		c.Bytes += f.RowGroups[rg].Bytes
	}
	return c
}

// Fuse makes the splits of a job's tasks from the planned ones. A fused job has one task that reads
// all of them in their order, unless it shuffles nothing: then its tasks are independent in any case.
func Fuse(conf model.JobConf, splits []model.Split) []model.Split {
	if conf.Execution != model.ExecutionFused || conf.Partitioning.Kind == model.PartitionNone || len(splits) < 2 {
		return splits
	}
	var all model.Split
	for _, s := range splits {
		all.Chunks = append(all.Chunks, s.Chunks...)
		all.Rows += s.Rows
		all.Bytes += s.Bytes
	}
	return []model.Split{all}
}
