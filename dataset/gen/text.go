package gen

import "encoding/binary"

// fragment is a short text in a slot of fixed size. Copying the whole slot and moving on by the
// text's own length is a few vector moves; copying just the text is a call of memmove. Text is written
// from left to right, so the next fragment overwrites what stood too much.
//
// Invariant: whoever puts fragments keeps fragmentSlack bytes free behind what it writes.
type fragment struct {
	text [64]byte
	size int
}

// fragmentSlack is the size of a fragment's slot.
const fragmentSlack = 64

// newFragments makes one fragment per word, between a prefix and a suffix.
func newFragments(prefix string, words []string, suffix string) []fragment {
	out := make([]fragment, len(words))
	for i, w := range words {
		text := prefix + w + suffix
		if out[i].size = copy(out[i].text[:], text); out[i].size < len(text) {
			panic("gen: the fragment " + text + " is longer than its slot")
		}
	}
	return out
}

// put writes f at b[at:] and returns where it ends.
func (f *fragment) put(b []byte, at int) int {
	*(*[fragmentSlack]byte)(b[at:]) = f.text
	return at + f.size
}

// Pairs of characters, as the little-endian uint16 that writes them in reading order.
var (
	decimalPairs = pairs("0123456789", 100)
	hexPairs     = pairs("0123456789abcdef", 256)
	// base32Pairs leaves out i, l, o and u, as Crockford's base 32 does.
	base32Pairs = pairs("0123456789abcdefghjkmnpqrstvwxyz", 1024)
)

func pairs(alphabet string, n int) []uint16 {
	out := make([]uint16, n)
	base := len(alphabet)
	for i := range out {
		out[i] = uint16(alphabet[i/base]) | uint16(alphabet[i%base])<<8
	}
	return out
}

// putHex writes v as 16 hexadecimal digits.
func putHex(b []byte, v uint64) {
	_ = b[15]
	for i := 0; i < 16; i += 2 {
		binary.LittleEndian.PutUint16(b[i:], hexPairs[byte(v>>(56-4*i))])
	}
}

// putBase32 writes the low 60 bits of v as 12 digits.
func putBase32(b []byte, v uint64) {
	_ = b[11]
	for i := 0; i < 12; i += 2 {
		binary.LittleEndian.PutUint16(b[i:], base32Pairs[v>>(50-5*i)&1023])
	}
}

// putDigits writes v < 10^8 as 8 decimal digits.
func putDigits(b []byte, v uint32) {
	_ = b[7]
	hi, lo := v/10_000, v%10_000
	binary.LittleEndian.PutUint16(b[0:], decimalPairs[hi/100])
	binary.LittleEndian.PutUint16(b[2:], decimalPairs[hi%100])
	binary.LittleEndian.PutUint16(b[4:], decimalPairs[lo/100])
	binary.LittleEndian.PutUint16(b[6:], decimalPairs[lo%100])
}

// putUUID writes a random (version 4) UUID made of 122 of the 128 bits.
func putUUID(b []byte, hi, lo uint64) {
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 1<<63
	_ = b[35]
	var digits [32]byte
	putHex(digits[:16], hi)
	putHex(digits[16:], lo)
	*(*[8]byte)(b) = [8]byte(digits[:8])
	*(*[4]byte)(b[9:]) = [4]byte(digits[8:12])
	*(*[4]byte)(b[14:]) = [4]byte(digits[12:16])
	*(*[4]byte)(b[19:]) = [4]byte(digits[16:20])
	*(*[12]byte)(b[24:]) = [12]byte(digits[20:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
}
