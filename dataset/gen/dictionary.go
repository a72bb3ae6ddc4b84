package gen

import "github.com/apache/arrow-go/v18/parquet"

// addDictionary gives the values in w.picked codes in the order in which they first come, leaves
// those in w.codes, adds the dictionary page, and returns the number of bits per code.
func (w *worker) addDictionary(texts *dictionary) int {
	seen := w.seen[w.column]
	if seen == nil {
		seen = make([]uint64, texts.size())
		w.seen[w.column] = seen
	}
	// An entry of another chunk is known by its stamp, so that nothing has to be cleared.
	w.chunks++
	stamp := w.chunks << 32
	plain, n := w.page[:0], 0
	w.codes = grow(w.codes[:0], len(w.picked))
	for i, place := range w.picked {
		entry := seen[place]
		if entry&^codeMask != stamp {
			entry = stamp | uint64(n)
			seen[place] = entry
			plain = append(plain, texts.entry(place)...)
			n++
		}
		w.codes[i] = uint32(entry)
	}
	w.page = plain[:0]
	w.chunk.extremes.add(parquet.Types.ByteArray, plain, n)
	w.addPage(dictionaryPage, parquet.Encodings.Plain, plain, n)
	return packedWidth(n)
}

// codeMask is the half of an entry of worker.seen that holds the code.
const codeMask = 1<<32 - 1

// Levels of tags: an optional list of optional texts.
const (
	tagsNull    = 0
	tagsEmpty   = 1
	tagsPresent = 3
	maxTags     = 4
)

// listCut is where a page of tags ends: so many levels and values come before.
type listCut struct{ levels, values int }

// writeTags makes the one list column: up to four words, in a dictionary.
func (w *worker) writeTags(c *column) {
	w.drawNulls(c)
	w.drawTags()
	width := w.addDictionary(&w.vocabulary.tags)
	var last listCut
	for _, cut := range w.cuts {
		b := appendLevels(w.page[:0], w.repeats[last.levels:cut.levels], 1)
		b = appendLevels(b, w.defines[last.levels:cut.levels], 2)
		b = appendPacked(append(b, byte(width)), w.codes[last.values:cut.values], width)
		w.page = b[:0]
		w.addPage(dataPage, parquet.Encodings.RLEDict, b, cut.levels-last.levels)
		last = cut
	}
	// The format counts an empty list among the nulls of its leaf.
	w.chunk.nulls = int64(len(w.defines) - len(w.picked))
}

// drawTags fills the levels, values and page cuts of a row group, of which w.valid is drawn.
func (w *worker) drawTags() {
	w.repeats, w.defines = w.repeats[:0], w.defines[:0]
	w.picked, w.cuts = w.picked[:0], w.cuts[:0]
	for i := range w.rows {
		u := w.rnd.uint64()
		n := below16(u, 0, maxTags+1)
		switch {
		case w.valid[i>>3]>>(i&7)&1 == 0:
			w.repeats, w.defines = append(w.repeats, 0), append(w.defines, tagsNull)
		case n == 0:
			w.repeats, w.defines = append(w.repeats, 0), append(w.defines, tagsEmpty)
		default:
			for k := range n {
				w.repeats = append(w.repeats, uint32(min(k, 1)))
				w.defines = append(w.defines, tagsPresent)
				// Twelve bits per word: 4 x 12 + 16 are all that a draw has.
				word := uint64(w.vocabulary.tags.size()) * (u >> (16 + 12*k) & 0xfff) >> 12
				w.picked = append(w.picked, uint32(word))
			}
		}
		if (i+1)%pageRows == 0 || i+1 == w.rows {
			w.cuts = append(w.cuts, listCut{len(w.defines), len(w.picked)})
		}
	}
}
