package gen

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// appendLevels adds definition or repetition levels as a data page of version 1 holds them: the
// length in four bytes, then the RLE hybrid.
func appendLevels(b []byte, levels []uint32, width int) []byte {
	start := len(b)
	b = appendPacked(append(b, 0, 0, 0, 0), levels, width)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// appendValidity is appendLevels for levels of one bit, given as a bitmap of n bits.
func appendValidity(b, bitmap []byte) []byte {
	start := len(b)
	b = binary.AppendUvarint(append(b, 0, 0, 0, 0), uint64(len(bitmap))<<1|1)
	b = append(b, bitmap...)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// appendPacked adds values of width bits (1 to 32) in Parquet's RLE hybrid, as one bit-packed run:
// the number of groups of eight shifted left with a 1 behind it, then the values from the lowest bit
// up. The values here are random, so a run of equal ones would gain nothing. No values are no run.
func appendPacked(b []byte, values []uint32, width int) []byte {
	if len(values) == 0 {
		return b
	}
	groups := (len(values) + 7) / 8
	b = binary.AppendUvarint(b, uint64(groups)<<1|1)
	at, end := len(b), len(b)+groups*width
	b = grow(b, end-at+8)
	var pending uint64
	var filled int
	for _, v := range values {
		pending |= uint64(v) << filled
		if filled += width; filled >= 32 {
			binary.LittleEndian.PutUint32(b[at:], uint32(pending))
			pending >>= 32
			filled -= 32
			at += 4
		}
	}
	// The last group is padded with zeros, at most seven values of 32 bits.
	for ; at < end; at += 8 {
		binary.LittleEndian.PutUint64(b[at:at+8], pending)
		pending = 0
	}
	return b[:end]
}

// packedWidth is the number of bits that the codes of a dictionary of n entries take. It is at
// least 1, also where every value is null and the dictionary empty: not every reader takes 0.
func packedWidth(n int) int { return max(1, bits.Len(uint(max(n, 1)-1))) }

// grow makes b longer by n elements. What they hold is not defined.
func grow[T any](b []T, n int) []T { return slices.Grow(b, n)[:len(b)+n] }
