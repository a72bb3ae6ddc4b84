package spark

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/sluice-engine/sluice/dataset/column"
)

// Murmur3 folds the values from, from+1, ... into h, one value for each entry: h[i] is the seed on
// the way in and Spark's hash of value from+i on the way out.
func (l *Leaf) Murmur3(vals *column.Values, from int, h []int32) {
	switch l.form {
	case formRawInt:
		data := vals.Data[from*4 : (from+len(h))*4]
		for i := range h {
			h[i] = murmurInt(binary.LittleEndian.Uint32(data[i*4:]), h[i])
		}
	case formRawLong:
		data := vals.Data[from*8 : (from+len(h))*8]
		for i := range h {
			h[i] = murmurLong(binary.LittleEndian.Uint64(data[i*8:]), h[i])
		}
	case formInt:
		for i := range h {
			h[i] = murmurInt(uint32(l.int32At(vals.At(from+i))), h[i])
		}
	case formLong:
		for i := range h {
			h[i] = murmurLong(uint64(l.int64At(vals.At(from+i))), h[i])
		}
	case formFloat:
		for i := range h {
			h[i] = murmurInt(floatBits(l.float32At(vals.At(from+i))), h[i])
		}
	case formDouble:
		for i := range h {
			h[i] = murmurLong(doubleBits(math.Float64frombits(vals.Uint64(from+i))), h[i])
		}
	case formBytes:
		for i := range h {
			h[i] = murmurBytes(vals.At(from+i), h[i])
		}
	case formBigInt:
		var buf [9]byte
		for i := range h {
			h[i] = murmurBytes(l.bigInt(vals.At(from+i), &buf), h[i])
		}
	}
}

// The functions below are org.apache.spark.unsafe.hash.Murmur3_x86_32.

func murmurInt(v uint32, seed int32) int32 {
	return murmurFinish(murmurMix(uint32(seed), v), 4)
}

func murmurLong(v uint64, seed int32) int32 {
	h := murmurMix(uint32(seed), uint32(v))
	return murmurFinish(murmurMix(h, uint32(v>>32)), 8)
}

// murmurBytes is hashUnsafeBytes: it is not the Murmur3 of other libraries, because each byte after the last
// whole word is sign-extended and mixed as a word of its own.
func murmurBytes(b []byte, seed int32) int32 {
	h, n := uint32(seed), uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = murmurMix(h, binary.LittleEndian.Uint32(b))
	}
	for _, c := range b {
		h = murmurMix(h, uint32(int32(int8(c))))
	}
	return murmurFinish(h, n)
}

func murmurMix(h, k uint32) uint32 {
	k *= 0xcc9e2d51
	k = bits.RotateLeft32(k, 15)
	k *= 0x1b873593
	h ^= k
	h = bits.RotateLeft32(h, 13)
	return h*5 + 0xe6546b64
}

func murmurFinish(h, n uint32) int32 {
	h ^= n
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return int32(h)
}
