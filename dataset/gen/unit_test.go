package gen

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestValidateNamesTheFlag(t *testing.T) {
	good := Options{Dir: "d", Rows: 100, Files: 10, Types: 5}
	if err := good.Validate(); err != nil {
		t.Fatalf("good options are refused: %v", err)
	}
	for _, tc := range []struct {
		want   string
		change func(o *Options)
	}{
		{"--out", func(o *Options) { o.Dir = "" }},
		{"--rows", func(o *Options) { o.Rows = 0 }},
		{"--rows", func(o *Options) { o.Rows = -1 }},
		{"lower --files", func(o *Options) { o.Rows = 9 }},
		{"raise --files", func(o *Options) { o.Rows = math.MaxInt64 }},
		{"--files", func(o *Options) { o.Files = 0 }},
		{"--files", func(o *Options) { o.Rows, o.Files = 1<<40, maxFiles+1 }},
		{"--types", func(o *Options) { o.Types = 0 }},
		{"--types", func(o *Options) { o.Types = maxTypes + 1 }},
		{"--threads", func(o *Options) { o.Threads = -1 }},
		{"--compression", func(o *Options) { o.Codec = "gzip" }},
	} {
		o := good
		tc.change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v does not name %s", o, err, tc.want)
		}
	}
}

func TestRowsAreSpreadEvenly(t *testing.T) {
	o := Options{Rows: 23, Files: 5}
	var got []int64
	for i := range o.Files {
		got = append(got, o.rowsOf(i))
	}
	for i, want := range []int64{5, 5, 5, 4, 4} {
		if got[i] != want {
			t.Fatalf("rows per file %v: file %d should have %d", got, i, want)
		}
	}
}

// TestAliasTableHasTheWeights adds up what every cell gives to its two values: the table is the
// distribution, exactly, whatever the generator of random numbers does.
func TestAliasTableHasTheWeights(t *testing.T) {
	for name, weights := range map[string][]float64{
		"one": {3}, "equal": {1, 1, 1}, "platforms": {55, 28, 12, 4, 1}, "with a zero": {0, 1, 0, 2},
		"zipf": func() (w []float64) {
			for i := range 1000 {
				w = append(w, math.Pow(float64(i+1), -1.2))
			}
			return w
		}(),
	} {
		s := newSampler(weights)
		got := make([]float64, len(weights))
		total := 0.0
		for i, c := range s {
			share := float64(c.cut) / (1 << 32)
			got[i] += share / float64(len(s))
			got[c.alias] += (1 - share) / float64(len(s))
			total += weights[i]
		}
		for i, w := range weights {
			if math.Abs(got[i]-w/total) > 1e-9 {
				t.Errorf("%s: value %d has %g of the draws, want %g", name, i, got[i], w/total)
			}
		}
	}
}

func TestPickUsesBothHalvesOfTheDraw(t *testing.T) {
	s := newSampler([]float64{3, 1}) // value 1 keeps half of its cell
	for u, want := range map[uint64]uint32{
		0: 0, 1<<63 - 1: 0, // the first cell
		1 << 63: 1, 1<<63 | 1<<61: 1, // the second, below its cut
		1<<63 | 1<<62: 0, math.MaxUint64: 0, // and above
	} {
		if got := s.pick(u); got != want {
			t.Errorf("pick(%#x) = %d, want %d", u, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	var rnd random
	rnd.seed(1, 2, 3, 4)
	for _, zeros := range []byte{0, 1, 128, 255} {
		const n = 100_003
		dst := make([]byte, (n+7)/8)
		set := rnd.flags(dst, n, zeros)
		if got := ones(dst); got != set {
			t.Errorf("flags says %d are set, %d are", set, got)
		}
		if dst[len(dst)-1]>>(n%8) != 0 {
			t.Error("bits past the end are set")
		}
		want := float64(256-int(zeros)) / 256
		if got := float64(set) / n; math.Abs(got-want) > 0.01 {
			t.Errorf("zeros %d/256: %.3f of the bits are set, want %.3f", zeros, got, want)
		}
	}
}

// TestPackedIsReadBackBitByBit compares with the definition: value i lies at bit i*width.
func TestPackedIsReadBackBitByBit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for width := 1; width <= 32; width++ {
		for _, n := range []int{1, 7, 8, 9, 63, 100} {
			values := make([]uint32, n)
			for i := range values {
				values[i] = rnd.Uint32() >> (32 - width)
			}
			b := appendPacked([]byte("before"), values, width)
			header, size := binary.Uvarint(b[6:])
			packed := b[6+size:]
			groups := (n + 7) / 8
			if string(b[:6]) != "before" || header != uint64(groups)<<1|1 || len(packed) != groups*width {
				t.Fatalf("width %d, %d values: header %d, %d bytes", width, n, header, len(packed))
			}
			for i := range groups * 8 {
				var got, want uint32
				for bit := range width {
					at := i*width + bit
					got |= uint32(packed[at/8]>>(at%8)&1) << bit
				}
				if i < n {
					want = values[i]
				}
				if got != want {
					t.Fatalf("width %d: value %d of %d is %d, want %d", width, i, n, got, want)
				}
			}
		}
	}
}

func TestPackedWithoutValuesIsNothing(t *testing.T) {
	if got := appendPacked([]byte{5}, nil, 3); len(got) != 1 {
		t.Errorf("no values are packed as %v", got[1:])
	}
}

func TestPackedWidth(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 256: 8, 257: 9} {
		if got := packedWidth(n); got != want {
			t.Errorf("packedWidth(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestNumbersInText(t *testing.T) {
	var b [80]byte
	putHex(b[:], 0x0123456789abcdef)
	if got := string(b[:16]); got != "0123456789abcdef" {
		t.Errorf("putHex: %s", got)
	}
	putDigits(b[:], 1_020_304)
	if got := string(b[:8]); got != "01020304" {
		t.Errorf("putDigits: %s", got)
	}
	putBase32(b[:], 33)
	if got := string(b[:12]); got != "000000000011" {
		t.Errorf("putBase32: %s", got)
	}
	putUUID(b[:], math.MaxUint64, 0)
	if got := string(b[:36]); got != "ffffffff-ffff-4fff-8000-000000000000" {
		t.Errorf("putUUID: %s", got)
	}
	for v, want := range map[uint]string{0: "0", 9: "9", 10: "10", 99: "99", 100: "100", 907: "907"} {
		if got := string(b[:putPosition(b[:], 0, v)]); got != want {
			t.Errorf("putPosition(%d): %s", v, got)
		}
	}
}

// TestValuesFitTheirPage makes long pages of the two long columns and looks at every value.
func TestValuesFitTheirPage(t *testing.T) {
	url := regexp.MustCompile(`^https://www\.example\.com/[a-z]+/[a-z]+/[a-z]+/item\?id=[1-9][0-9]{7}&ref=[0-9a-z]{12}&utm_source=[a-z]+$`)
	w := &worker{}
	w.rnd.seed(1, 0, 0, 0)
	longest := 0
	for name, fill := range map[string]func(*worker, []byte, span) []byte{"url": fillURLs, "payload": fillPayloads} {
		room := make([]byte, 3, pageRows*(maxValueBytes+1))
		page := fill(w, room, span{to: pageRows, present: pageRows})
		if &page[0] != &room[0] {
			t.Errorf("%s: the page was moved", name)
		}
		n := 0
		for b := page[3:]; len(b) > 0; n++ {
			size := 4 + int(binary.LittleEndian.Uint32(b))
			v := b[4:size]
			b = b[size:]
			longest = max(longest, size)
			if name == "url" && !url.Match(v) || name == "payload" && !json.Valid(v) {
				t.Fatalf("%s: %s", name, v)
			}
		}
		if n != pageRows {
			t.Errorf("%s: %d values, want %d", name, n, pageRows)
		}
	}
	widest := 4
	for _, f := range [][]fragment{payloadScreen, payloadExperiment, payloadVariant, payloadTrace, payloadItems, payloadNet} {
		size := 0
		for i := range f {
			size = max(size, f[i].size)
		}
		widest += size
	}
	widest += 3 + 8 + 16 + 6*8
	if widest > maxValueBytes || longest > widest {
		t.Errorf("a payload may take %d bytes and one took %d: a page has room for %d", widest, longest, maxValueBytes)
	}
}

func TestTypeNames(t *testing.T) {
	for _, n := range []int{1, 2, 3, 20, 21, 500, 521, maxTypes} {
		names := typeNames(n)
		seen := make(map[string]bool, n)
		for _, s := range names {
			if seen[s] || s == "" {
				t.Fatalf("%d types: %q comes twice", n, s)
			}
			seen[s] = true
		}
		if len(names) != n || names[0] != "appOpen" || n > 1 && names[n-1] != rarestType {
			t.Errorf("%d types: %d names from %s to %s", n, len(names), names[0], names[len(names)-1])
		}
	}
}

func TestDeviceNamesAreDistinct(t *testing.T) {
	var rnd random
	rnd.seed(1, 0, 0, vocabularyStream)
	seen := make(map[string]bool, numDevices)
	for _, s := range deviceNames(&rnd) {
		seen[s] = true
	}
	if len(seen) != numDevices {
		t.Errorf("%d of %d devices are distinct", len(seen), numDevices)
	}
}

// murmur3 is the 32-bit hash of Austin Appleby's MurmurHash3 with Spark's seed, for texts of whole
// words, where Spark does not differ from it.
func murmur3(b []byte) uint32 {
	h := uint32(42)
	for i := 0; i < len(b); i += 4 {
		k := binary.LittleEndian.Uint32(b[i:]) * 0xcc9e2d51
		h ^= (k<<15 | k>>17) * 0x1b873593
		h = (h<<13|h>>19)*5 + 0xe6546b64
	}
	h ^= uint32(len(b))
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// TestEveryTypeMeetsEveryDeviceHash draws the two columns of the whole default set: repartitioned by
// device_id into 16 and written by type, Spark makes 16 x 500 files of it, and so must plan.
func TestEveryTypeMeetsEveryDeviceHash(t *testing.T) {
	const files, rows, types, partitions = 200, 10_000, 500, 16
	// What Spark 4.3 answers to select hash('dev-0123'), hash('dev-012345678901').
	for text, want := range map[string]int32{"dev-0123": -1031210244, "dev-012345678901": 1064694816} {
		if got := int32(murmur3([]byte(text))); got != want {
			t.Fatalf("murmur3(%s) = %d, Spark says %d", text, got, want)
		}
	}
	v := newVocabulary(types, 1)
	partition := make([]uint32, numDevices)
	for i := range partition {
		// The divisor is a power of two, so the sign does not matter.
		partition[i] = murmur3(v.devices.entry(uint32(i))[4:]) % partitions
	}
	var perPair [types][partitions]int
	var device, typ random
	for f := range files {
		device.seed(1, f, 0, deviceColumn)
		typ.seed(1, f, 0, deviceColumn+1)
		for range rows {
			perPair[v.types.pick(typ.uint64())][partition[v.devices.pick(device.uint64())]]++
		}
	}
	for i, row := range perPair {
		sum := 0
		for p, n := range row {
			if sum += n; n == 0 {
				t.Errorf("type %d has no row in partition %d", i, p)
			}
		}
		if sum < 200 {
			t.Errorf("type %d has %d rows, want at least 200", i, sum)
		}
	}
}
