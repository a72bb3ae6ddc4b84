package gen

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
)

// random is a stream of random numbers. It is a PCG, whose output is fixed by its definition, so
// that a seed means the same data in every release of Go.
type random struct {
	pcg rand.PCG
	exp *rand.Rand // draws from pcg; only for ExpFloat64
}

// seed starts the stream that belongs to one column of one row group of one file. Every such stream
// is independent of the others: what a file holds does not depend on which worker makes it, or when.
func (r *random) seed(seed uint64, file, group, column int) {
	where := uint64(file)<<32 | uint64(group)<<16 | uint64(column)
	r.pcg.Seed(mix64(seed), mix64(where+0x9e3779b97f4a7c15))
	if r.exp == nil {
		r.exp = rand.New(&r.pcg)
	}
}

// mix64 is the finalizer of SplitMix64: a bijection that makes neighbouring seeds unlike each other.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (r *random) uint64() uint64 { return r.pcg.Uint64() }

// unit is uniform in [0, 1).
func (r *random) unit() float64 { return float64(r.pcg.Uint64()>>11) / (1 << 53) }

// exponential has the given mean.
func (r *random) exponential(mean float64) float64 { return r.exp.ExpFloat64() * mean }

// below16 scales the 16 bits that begin at bit shift of u to [0, n). One draw serves four of them;
// the bias is n/65536, which no one can see in a landing set.
func below16(u uint64, shift, n uint) uint { return uint(uint16(u>>shift)) * n >> 16 }

// below32 scales the 32 bits that begin at bit shift of u to [0, n).
func below32(u uint64, shift uint, n uint64) uint64 { return uint64(uint32(u>>shift)) * n >> 32 }

// flags fills dst with n random bits, least significant first, each 0 with probability
// zerosIn256/256. Bits past n are 0. It returns how many are 1. One draw makes eight bits.
func (r *random) flags(dst []byte, n int, zerosIn256 byte) int {
	for i := range dst {
		dst[i] = eightFlags(r.uint64(), zerosIn256)
	}
	if rest := n % 8; rest != 0 {
		dst[len(dst)-1] &= 1<<rest - 1
	}
	return ones(dst)
}

// eightFlags has bit k set where byte k of u is at least limit.
func eightFlags(u uint64, limit byte) (b byte) {
	for k := range 8 {
		// The subtraction borrows into bit 8 exactly when the byte is below the limit.
		difference := uint32(uint8(u>>(8*k))) - uint32(limit)
		b |= byte(^difference>>8&1) << k
	}
	return b
}

// ones counts the bits that are set.
func ones(b []byte) (n int) {
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// sampler draws from a fixed discrete distribution in constant time: the alias method of A. J.
// Walker (1977), in the form of M. D. Vose (1991). A search in the cumulative distribution costs ten
// times as much for 100,000 values, most of it cache misses.
type sampler []cell

// cell is one column of the alias table: a draw that falls on it means its own index below cut, and
// alias above.
type cell struct{ cut, alias uint32 }

func newSampler(weights []float64) sampler {
	s := make(sampler, len(weights))
	scaled := make([]float64, len(weights))
	total := 0.0
	for _, w := range weights {
		total += w
	}
	var small, large []uint32
	for i, w := range weights {
		scaled[i] = w / total * float64(len(weights))
		if scaled[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		s[lo] = cell{cut: uint32(scaled[lo] * (1 << 32)), alias: hi}
		scaled[hi] -= 1 - scaled[lo]
		if scaled[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	// What is left has weight 1 but for rounding, and always means itself.
	for _, i := range append(small, large...) {
		s[i] = cell{cut: math.MaxUint32, alias: i}
	}
	return s
}

// newZipf gives value i of n the weight 1/(i+1)^s.
func newZipf(n int, s float64) sampler {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -s)
	}
	return newSampler(weights)
}

// pick turns 64 random bits into a value.
func (s sampler) pick(u uint64) uint32 {
	index, fraction := bits.Mul64(u, uint64(len(s)))
	c := s[index]
	v := c.alias
	if uint32(fraction>>32) < c.cut {
		v = uint32(index)
	}
	return v
}
