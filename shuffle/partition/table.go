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

// values remembers a number of the caller's for each different byte string. It is an open-addressing
// table with linear probing; the strings lie in one buffer. The zero value is empty.
type values struct {
	data  []byte
	count int
	slots []slot // the length is a power of two
}

// slot is free while to is 0; see add.
type slot struct {
	hash     uint64
	from, to int
	tag      uint32
}

// find returns the tag of a value, or the hash under which add puts it.
func (t *values) find(b []byte) (tag uint32, hash uint64, found bool) {
	hash = xxh3.Hash(b)
	if len(t.slots) == 0 {
		return 0, hash, false
	}
	mask := len(t.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.to == 0 {
			return 0, hash, false
		}
		if s.hash == hash && bytes.Equal(t.data[s.from:s.to], b) {
			return s.tag, hash, true
		}
	}
}

// add remembers a value that find did not know.
func (t *values) add(b []byte, hash uint64, tag uint32) {
	if len(t.data) == 0 {
		t.data = append(t.data, 0) // so that no value ends at 0
	}
	from := len(t.data)
	t.data = append(t.data, b...)
	if t.count++; 2*t.count > len(t.slots) {
		old := t.slots
		t.slots = make([]slot, max(64, 2*len(old)))
		for _, s := range old {
			if s.to != 0 {
				t.put(s)
			}
		}
	}
	t.put(slot{hash: hash, from: from, to: len(t.data), tag: tag})
}

func (t *values) put(s slot) {
	mask := len(t.slots) - 1
	i := int(s.hash) & mask
	for t.slots[i].to != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}
