package spark

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/sluice-engine/sluice/dataset/column"
)

// XXHash64 folds the values from, from+1, ... into h, one value for each entry: h[i] is the seed on
// the way in and Spark's xxhash64 of value from+i on the way out.
func (l *Leaf) XXHash64(vals *column.Values, from int, h []uint64) {
	switch l.form {
	case formRawInt:
		data := vals.Data[from*4 : (from+len(h))*4]
		for i := range h {
			h[i] = XXHashInt(binary.LittleEndian.Uint32(data[i*4:]), h[i])
		}
	case formRawLong:
		data := vals.Data[from*8 : (from+len(h))*8]
		for i := range h {
			h[i] = XXHashLong(binary.LittleEndian.Uint64(data[i*8:]), h[i])
		}
	case formInt:
		for i := range h {
			h[i] = XXHashInt(uint32(l.int32At(vals.At(from+i))), h[i])
		}
	case formLong:
		for i := range h {
			h[i] = XXHashLong(uint64(l.int64At(vals.At(from+i))), h[i])
		}
	case formFloat:
		for i := range h {
			h[i] = XXHashInt(floatBits(l.float32At(vals.At(from+i))), h[i])
		}
	case formDouble:
		for i := range h {
			h[i] = XXHashLong(doubleBits(math.Float64frombits(vals.Uint64(from+i))), h[i])
		}
	case formBytes:
		for i := range h {
			h[i] = XXHashBytes(vals.At(from+i), h[i])
		}
	case formBigInt:
		var buf [9]byte
		for i := range h {
			h[i] = XXHashBytes(l.bigInt(vals.At(from+i), &buf), h[i])
		}
	}
}

// The functions below are XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) of the number's bytes
// in little-endian order, as org.apache.spark.sql.catalyst.expressions.XXH64 has them. The seed is an
// argument of each value here, which the libraries offer only through their streaming form.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// XXHashInt is Spark's xxhash64 of an int with the running hash as seed.
func XXHashInt(v uint32, seed uint64) uint64 {
	h := seed + prime5 + 4
	h ^= uint64(v) * prime1
	h = bits.RotateLeft64(h, 23)*prime2 + prime3
	return xxFinish(h)
}

// XXHashLong is Spark's xxhash64 of a bigint with the running hash as seed.
func XXHashLong(v uint64, seed uint64) uint64 {
	return xxFinish(xxWord(seed+prime5+8, v))
}

// XXHashBytes is Spark's xxhash64 of a string or binary with the running hash as seed.
func XXHashBytes(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	h := seed + prime5
	if len(b) >= 32 {
		v1, v2, v3, v4 := seed+prime1, seed, seed, seed
		v1, v2, v4 = v1+prime2, v2+prime2, v4-prime1
		for ; len(b) >= 32; b = b[32:] {
			v1 = xxRound(v1, binary.LittleEndian.Uint64(b))
			v2 = xxRound(v2, binary.LittleEndian.Uint64(b[8:]))
			v3 = xxRound(v3, binary.LittleEndian.Uint64(b[16:]))
			v4 = xxRound(v4, binary.LittleEndian.Uint64(b[24:]))
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		h = xxMerge(h, v1)
		h = xxMerge(h, v2)
		h = xxMerge(h, v3)
		h = xxMerge(h, v4)
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = xxWord(h, binary.LittleEndian.Uint64(b))
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	return xxFinish(h)
}

func xxRound(acc, v uint64) uint64 {
	return bits.RotateLeft64(acc+v*prime2, 31) * prime1
}

func xxMerge(h, acc uint64) uint64 {
	return (h^xxRound(0, acc))*prime1 + prime4
}

func xxWord(h, v uint64) uint64 {
	h ^= xxRound(0, v)
	return bits.RotateLeft64(h, 27)*prime1 + prime4
}

func xxFinish(h uint64) uint64 {
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	return h ^ h>>32
}
