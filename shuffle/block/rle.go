package block

import (
	"encoding/binary"
	"math/bits"
)

// The hybrid of run lengths and bit packing ("RLE" in parquet.thrift) holds levels and dictionary
// codes. It is a sequence of runs; each begins with a varint. If its lowest bit is 0, the rest is
// a count and one value of (width+7)/8 bytes follows. If it is 1, the rest counts groups of eight
// values, packed with width bits each, lowest bits first.

// appendHybrid encodes vals, each below 1<<width. 1 <= width <= 32.
func appendHybrid[T uint8 | uint32](dst []byte, vals []T, width int) []byte {
	// A run pays for itself when it saves its own header and that of the packed run after it: about
	// four bytes.
	minRun := max(8, 32/width)
	start := 0 // of the values not yet written; those up to i will be packed
	for i := 0; i < len(vals); {
		run := 1
		for i+run < len(vals) && vals[i+run] == vals[i] {
			run++
		}
		if run < minRun {
			// A packed run holds whole groups, so the next run can begin only at a multiple of eight.
			i += 8 * ((run + 7) / 8)
			continue
		}
		dst = appendPacked(dst, vals[start:i], width)
		dst = binary.AppendUvarint(dst, uint64(run)<<1)
		for v, k := uint32(vals[i]), 0; k < (width+7)/8; k++ {
			dst = append(dst, byte(v>>(8*k)))
		}
		i += run
		start = i
	}
	return appendPacked(dst, vals[start:], width)
}

// appendPacked encodes vals as one bit-packed run; the last group is filled up with zeros.
func appendPacked[T uint8 | uint32](dst []byte, vals []T, width int) []byte {
	if len(vals) == 0 {
		return dst
	}
	groups := (len(vals) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	end := len(dst) + groups*width
	dst = grow(dst, groups*width+8)
	var acc uint64
	n := 0 // bits in acc, below 32 between values
	for _, v := range vals {
		acc |= uint64(v) << n
		if n += width; n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	for len(dst) < end {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst[:end]
}

// decodeHybrid fills dst from the start of src and returns how many bytes it took. It refuses runs
// that hold more than dst needs, other than the padding of the last group, and values that need
// more bits than width.
func decodeHybrid[T int16 | uint32](dst []T, src []byte, width int) (int, error) {
	if width < 0 || width > 32 {
		return 0, corruptf("values of %d bits", width)
	}
	pos := 0
	for len(dst) > 0 {
		head, n := binary.Uvarint(src[pos:])
		if n <= 0 {
			return 0, corruptf("a run of codes is cut off")
		}
		pos += n
		count := head >> 1
		if head&1 == 0 {
			size := (width + 7) / 8
			if count == 0 || count > uint64(len(dst)) || size > len(src)-pos {
				return 0, corruptf("a run of %d codes where %d are missing", count, len(dst))
			}
			v := uint64(0)
			for k := range size {
				v |= uint64(src[pos+k]) << (8 * k)
			}
			if v>>width != 0 {
				return 0, corruptf("a code needs more than %d bits", width)
			}
			pos += size
			for i := range dst[:count] {
				dst[i] = T(v)
			}
			dst = dst[count:]
			continue
		}
		need := uint64(len(dst)+7) / 8
		if count == 0 || count > need || count*uint64(width) > uint64(len(src)-pos) {
			return 0, corruptf("%d packed groups of codes where %d are missing", count, need)
		}
		k := min(int(count)*8, len(dst))
		unpack(dst[:k], src[pos:], width)
		pos += int(count) * width
		dst = dst[k:]
	}
	return pos, nil
}

// unpack reads len(dst) values of width bits each from src, which is long enough.
func unpack[T int16 | uint32](dst []T, src []byte, width int) {
	mask := uint64(1)<<width - 1
	bit := 0
	for i := range dst {
		at := bit >> 3
		var x uint64
		if at+8 <= len(src) {
			x = binary.LittleEndian.Uint64(src[at:])
		} else {
			var tail [8]byte
			copy(tail[:], src[at:])
			x = binary.LittleEndian.Uint64(tail[:])
		}
		dst[i] = T(x >> (bit & 7) & mask)
		bit += width
	}
}

// appendLevels adds levels as a data page of version 1 has them: length, then the hybrid.
func appendLevels(dst []byte, levels []uint8, maxLevel uint8) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendHybrid(dst, levels, bits.Len8(maxLevel))
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// decodeLevels reads what appendLevels wrote into dst and returns the rest of src.
func decodeLevels(dst []int16, src []byte, maxLevel int16) (rest []byte, err error) {
	if len(src) < 4 {
		return nil, corruptf("levels are cut off")
	}
	n := binary.LittleEndian.Uint32(src)
	src = src[4:]
	if uint64(n) > uint64(len(src)) {
		return nil, corruptf("%d bytes of levels where %d are left", n, len(src))
	}
	used, err := decodeHybrid(dst, src[:n], bits.Len16(uint16(maxLevel)))
	if err != nil {
		return nil, err
	}
	if used != int(n) {
		return nil, corruptf("%d bytes behind the last level", int(n)-used)
	}
	for _, l := range dst {
		if l > maxLevel {
			return nil, corruptf("level %d above %d", l, maxLevel)
		}
	}
	return src[n:], nil
}

// appendBools packs booleans of one byte each into bits: PLAIN for booleans.
func appendBools(dst, vals []byte) []byte {
	var acc byte
	for i, v := range vals {
		acc |= (v & 1) << (i & 7)
		if i&7 == 7 {
			dst = append(dst, acc)
			acc = 0
		}
	}
	if len(vals)&7 != 0 {
		dst = append(dst, acc)
	}
	return dst
}
