package partition

import (
	"bytes"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// pairs numbers the different pairs of two numbers, in the order in which they first came. It is an
// open-addressing table with linear probing; the zero value is empty.
type pairs struct {
	list  []uint64 // the pair of each number
	slots []uint32 // number + 1, 0 is free; the length is a power of two
}

// get returns the number of a pair; found is false when it is new.
func (p *pairs) get(left, right uint32) (number uint32, found bool) {
	if 2*len(p.list) >= len(p.slots) {
		p.grow()
	}
	pair := uint64(left)<<32 | uint64(right)
	mask := len(p.slots) - 1
	for i := mix(pair) & mask; ; i = (i + 1) & mask {
		s := p.slots[i]
		if s == 0 {
			p.list = append(p.list, pair)
			p.slots[i] = uint32(len(p.list))
			return uint32(len(p.list) - 1), false
		}
		if p.list[s-1] == pair {
			return s - 1, true
		}
	}
}

// at returns the pair of a number.
func (p *pairs) at(number uint32) (left, right uint32) {
	pair := p.list[number]
	return uint32(pair >> 32), uint32(pair)
}

// join replaces left[i] by the number of the pair (left[i], right[i]).
func (p *pairs) join(left, right []uint32) {
	for i, l := range left {
		if i > 0 && right[i] == right[i-1] && l == p.lastLeft(left[i-1]) {
			left[i] = left[i-1]
			continue
		}
		left[i], _ = p.get(l, right[i])
	}
}

func (p *pairs) lastLeft(number uint32) uint32 { return uint32(p.list[number] >> 32) }

func (p *pairs) grow() {
	p.slots = make([]uint32, max(64, 2*len(p.slots)))
	mask := len(p.slots) - 1
	for n, pair := range p.list {
		i := mix(pair) & mask
		for p.slots[i] != 0 {
			i = (i + 1) & mask
		}
		p.slots[i] = uint32(n + 1)
	}
}

// mix spreads a number over all bits: both halves of its product with the golden ratio.
func mix(v uint64) int {
	hi, lo := bits.Mul64(v^0x9e3779b97f4a7c15, 0x9e3779b97f4a7c15)
	return int(hi ^ lo)
}

// values numbers the different byte strings it meets and remembers a number of the caller's with each.
// It is an open-addressing table like pairs; the strings lie in one buffer.
type values struct {
	data  []byte
	list  []valueEntry
	slots []uint32
}

type valueEntry struct {
	hash uint64
	from int
	to   int
	tag  uint32
}

// find returns the tag of a value, or the hash under which add puts it.
func (t *values) find(b []byte) (tag uint32, hash uint64, found bool) {
	hash = xxh3.Hash(b)
	if len(t.slots) == 0 {
		return 0, hash, false
	}
	mask := len(t.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == 0 {
			return 0, hash, false
		}
		if e := &t.list[s-1]; e.hash == hash && bytes.Equal(t.data[e.from:e.to], b) {
			return e.tag, hash, true
		}
	}
}

// add remembers a value that find did not know.
func (t *values) add(b []byte, hash uint64, tag uint32) {
	from := len(t.data)
	t.data = append(t.data, b...)
	t.list = append(t.list, valueEntry{hash: hash, from: from, to: len(t.data), tag: tag})
	if 2*len(t.list) <= len(t.slots) {
		t.put(len(t.list))
		return
	}
	t.slots = make([]uint32, max(64, 2*len(t.slots)))
	for n := range t.list {
		t.put(n + 1)
	}
}

func (t *values) put(number int) {
	mask := len(t.slots) - 1
	i := int(t.list[number-1].hash) & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = uint32(number)
}
