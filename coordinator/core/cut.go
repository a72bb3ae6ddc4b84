package core

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// partBytes is how much of an entry its parts may fill; the rest is for the entry's own fields.
const partBytes = MaxEntryBytes - 64<<10

// Bounds of the encoded size of values without texts: their field names and longest numbers.
const (
	chunkJSON  = 256
	splitJSON  = 160
	oldJSON    = 96
	bucketJSON = 96
	valueJSON  = 160
	rangeJSON  = 320
	keyJSON    = 64
	numberJSON = 21
)

// textJSON bounds the encoded size of a text: a byte takes at most six, as \u00XX.
func textJSON(s string) int { return 6*len(s) + 2 }

// cut shortens a text to at most n bytes, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) + mark
}

func specBytes(s model.JobSpec) int {
	n := 1024 + textJSON(s.Name) + textJSON(s.Key) + textJSON(s.Out)
	for _, list := range [][]string{s.Input, s.PartitionBy, s.By} {
		for _, t := range list {
			n += textJSON(t) + 1
		}
	}
	return n
}

// pieces cuts a list into runs whose sizes sum up to at most partBytes each. An item that is larger by
// itself is alone.
func pieces[T any](items []T, size func(T) int) [][]T {
	var out [][]T
	from, sum := 0, 0
	for i, it := range items {
		n := size(it)
		if i > from && sum+n > partBytes {
			out = append(out, items[from:i])
			from, sum = i, 0
		}
		sum += n
	}
	if from < len(items) {
		out = append(out, items[from:])
	}
	return out
}

// cutPlan cuts the long parts of a plan into entries.
func cutPlan(job model.JobID, p plan.Job) ([]PlanPart, error) {
	var parts []PlanPart
	var splits []model.Split
	for _, s := range p.Splits {
		if len(s.Chunks) == 0 {
			splits = append(splits, s)
		}
		for i, chunks := range pieces(s.Chunks, chunkBytes) {
			piece := model.Split{Index: s.Index, Chunks: chunks}
			if i == 0 {
				piece.Rows, piece.Bytes = s.Rows, s.Bytes
			}
			splits = append(splits, piece)
		}
		for _, ch := range s.Chunks {
			if chunkBytes(ch) > partBytes {
				return nil, model.Failf(model.ReasonUser,
					"%s: a split of it has %d row groups, too many for one task: choose a smaller --split-size", ch.Path, len(ch.RowGroups))
			}
		}
	}
	for _, list := range pieces(splits, splitBytes) {
		parts = append(parts, PlanPart{Splits: list})
	}
	for _, list := range pieces(p.Old, oldBytes) {
		parts = append(parts, PlanPart{Old: list})
	}
	const schemaBytes = partBytes / 4 * 3 // base64
	for b := p.Conf.InputSchema; len(b) > 0; {
		n := min(len(b), schemaBytes)
		parts, b = append(parts, PlanPart{Schema: b[:n]}), b[n:]
	}
	if len(parts) > 1 && planBytes(p) <= partBytes { // the ordinary case: all of it fits into one
		parts = []PlanPart{{Splits: splits, Old: p.Old, Schema: p.Conf.InputSchema}}
	}
	for i := range parts {
		parts[i].Job, parts[i].Seq = job, i
	}
	return parts, nil
}

func planBytes(p plan.Job) int {
	n := len(p.Conf.InputSchema)/3*4 + 4
	for _, s := range p.Splits {
		n += splitBytes(s)
	}
	for _, o := range p.Old {
		n += oldBytes(o)
	}
	return n
}

func oldBytes(o plan.OldFile) int { return oldJSON + textJSON(o.Path) }

func chunkBytes(c model.SplitChunk) int {
	return chunkJSON + textJSON(c.Path) + textJSON(c.RelPath) + numberJSON*len(c.RowGroups)
}

func splitBytes(s model.Split) int {
	n := splitJSON
	for _, c := range s.Chunks {
		n += chunkBytes(c)
	}
	return n
}

func cutRanges(stage model.StageID, ranges []model.ReduceRange) []ReducePart {
	var parts []ReducePart
	for i, list := range pieces(ranges, rangeBytes) {
		parts = append(parts, ReducePart{Stage: stage, Seq: i, Ranges: list})
	}
	return parts
}

func rangeBytes(r model.ReduceRange) int {
	n := rangeJSON
	if r.Only != nil {
		n += keyJSON + textJSON(r.Only.Path)
	}
	for _, k := range r.Except {
		n += keyJSON + textJSON(k.Path)
	}
	return n
}

// cutSizes cuts a map output's sizes into entries; there are none when they fit into the entry of
// the output itself.
func cutSizes(o model.MapOutput) []SizesPart {
	total := bucketJSON * len(o.Buckets)
	for _, v := range o.Hot {
		total += valueBytes(v)
	}
	if total <= partBytes/2 {
		return nil
	}
	var parts []SizesPart
	for _, list := range pieces(o.Buckets, func(model.BucketSize) int { return bucketJSON }) {
		parts = append(parts, SizesPart{Buckets: list})
	}
	for _, list := range pieces(o.Hot, valueBytes) {
		parts = append(parts, SizesPart{Hot: list})
	}
	for i := range parts {
		parts[i].Attempt, parts[i].Seq = o.Attempt, i
	}
	return parts
}

func valueBytes(v model.ValueSize) int { return valueJSON + textJSON(v.Key.Path) }

// checkSeq tells whether a part continues what came before; Seq 0 begins anew.
func checkSeq(what string, have *int, seq int) error {
	if seq == 0 {
		*have = 0
	}
	if seq != *have {
		return fmt.Errorf("part %d of %s follows part %d", seq, what, *have-1)
	}
	*have++
	return nil
}
