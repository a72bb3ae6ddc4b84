package block

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// When a dictionary is tried, and when it is given up. It must pay: a chunk of unique values that
// is hashed for nothing costs half of all encoding time.
const (
	// minDictionaryValues is how many values the first page must have.
	minDictionaryValues = 64
	// judgeValues is how many values are looked at before the first verdict: if more than half of
	// them differ, the page is given up at once.
	judgeValues = 2048
	// maxDistinctShare is the verdict at the end of each page: at most one value in four may be new.
	maxDistinctShare = 4
	// maxHintMisses is how many chunks in a row of at least judgeValues values must fail before a
	// leaf's hint turns dictionaries off.
	maxHintMisses = 4
)

// Hint remembers for one leaf how its chunks fared with dictionaries, so that a leaf of unique
// values stops paying for the attempt. It may be shared by goroutines; where the output must not
// depend on their timing, it belongs to one goroutine that appends in row order.
type Hint struct{ misses atomic.Int32 }

func (h *Hint) useless() bool { return h != nil && h.misses.Load() >= maxHintMisses }

func (h *Hint) miss() {
	if h != nil {
		h.misses.Add(1)
	}
}

func (h *Hint) hit() {
	if h != nil {
		h.misses.Store(0)
	}
}

// dictionary numbers the different values of a chunk in the order in which they come.
//
// It is an open addressing hash table: a slot holds 32 bits of the hash above the number of the
// value + 1; 0 is free. At most half of the slots are taken.
type dictionary struct {
	width int
	slots []uint64
	vals  []byte   // PLAIN: the body of the dictionary page
	ends  []uint32 // where each value ends in vals; only for byte arrays
	n     int
}

const minSlots = 512

var dictionaries = sync.Pool{New: func() any { return &dictionary{slots: make([]uint64, minSlots)} }}

func newDictionary(width int) *dictionary {
	d := dictionaries.Get().(*dictionary) //nolint:errcheck // the pool holds nothing else
	d.width = width
	return d
}

// release empties the dictionary and keeps its memory for the next chunk.
func (d *dictionary) release() {
	d.slots = d.slots[:minSlots]
	clear(d.slots)
	d.vals, d.ends, d.n = d.vals[:0], d.ends[:0], 0
	dictionaries.Put(d)
}

// memory is the number of bytes in use. Capacities would be those of whoever had the dictionary from
// the pool before: when to seal is decided from this figure, and must not depend on that.
func (d *dictionary) memory() int { return len(d.slots)*8 + len(d.vals) + len(d.ends)*4 }

// truncate forgets the values from number n on. No value can be looked up any more: the table
// still knows the forgotten ones.
func (d *dictionary) truncate(n int) {
	d.vals = d.vals[:d.start(n)]
	if d.width == 0 {
		d.ends = d.ends[:n]
	}
	d.n = n
}

// start is where value i begins in vals.
func (d *dictionary) start(i int) int {
	switch {
	case d.width > 0:
		return i * d.width
	case i == 0:
		return 0
	}
	return int(d.ends[i-1])
}

// encode appends the codes of vals (PLAIN) to codes. It stops and returns false as soon as the
// dictionary holds more than maxBytes, or when it clearly does not pay; seen is the number of
// values that were encoded before.
func (d *dictionary) encode(codes []uint32, vals []byte, seen, maxBytes int) ([]uint32, bool) {
	before := len(codes)
	for len(vals) > 0 {
		size := d.width
		if size == 0 {
			size = 4 + int(binary.LittleEndian.Uint32(vals))
		}
		old := d.n
		codes = append(codes, d.code(vals[:size]))
		vals = vals[size:]
		if d.n != old {
			total := seen + len(codes) - before
			if len(d.vals) > maxBytes || total >= judgeValues && d.n*2 > total {
				return codes, false
			}
		}
	}
	return codes, true
}

// code returns the number of a PLAIN value, which it adds if it is new.
func (d *dictionary) code(v []byte) uint32 {
	h := d.hash(v)
	mask := uint64(len(d.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := d.slots[i]
		if s == 0 {
			d.slots[i] = h&^(1<<32-1) | uint64(d.n+1)
			return d.add(v)
		}
		if s>>32 == h>>32 {
			if k := int(uint32(s)) - 1; d.equal(k, v) {
				return uint32(k)
			}
		}
	}
}

func (d *dictionary) equal(k int, v []byte) bool {
	switch d.width {
	case 4:
		return binary.LittleEndian.Uint32(d.vals[k*4:]) == binary.LittleEndian.Uint32(v)
	case 8:
		return binary.LittleEndian.Uint64(d.vals[k*8:]) == binary.LittleEndian.Uint64(v)
	}
	at := d.start(k)
	return string(d.vals[at:d.start(k+1)]) == string(v)
}

func (d *dictionary) hash(v []byte) uint64 {
	switch d.width {
	case 4:
		return mix(uint64(binary.LittleEndian.Uint32(v)))
	case 8:
		return mix(binary.LittleEndian.Uint64(v))
	}
	return xxh3.Hash(v)
}

// mix spreads a number over 64 bits: the folded product with an odd constant (wyhash).
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

func (d *dictionary) add(v []byte) uint32 {
	d.vals = append(d.vals, v...)
	if d.width == 0 {
		d.ends = append(d.ends, uint32(len(d.vals)))
	}
	d.n++
	if d.n*2 > len(d.slots) {
		d.rehash()
	}
	return uint32(d.n - 1)
}

// rehash doubles the table.
func (d *dictionary) rehash() {
	size := 2 * len(d.slots)
	if cap(d.slots) >= size {
		d.slots = d.slots[:size]
		clear(d.slots)
	} else {
		d.slots = make([]uint64, size)
	}
	mask := uint64(size - 1)
	for k := range d.n {
		h := d.hash(d.vals[d.start(k):d.start(k+1)])
		i := h & mask
		for d.slots[i] != 0 {
			i = (i + 1) & mask
		}
		d.slots[i] = h&^(1<<32-1) | uint64(k+1)
	}
}

// used appends the PLAIN values that codes name, each once, to dst. marks is scratch.
func (d *dictionary) used(dst []byte, codes []uint32, marks []uint64) (out []byte, scratch []uint64) {
	words := (d.n + 63) / 64
	if cap(marks) < words {
		marks = make([]uint64, words)
	}
	marks = marks[:words]
	clear(marks)
	for _, c := range codes {
		if bit := uint64(1) << (c & 63); marks[c>>6]&bit == 0 {
			marks[c>>6] |= bit
			dst = append(dst, d.vals[d.start(int(c)):d.start(int(c)+1)]...)
		}
	}
	return dst, marks
}
