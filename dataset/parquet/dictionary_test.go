package parquet

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// TestDictionaryHoldsEveryValue: the entries of the dictionary page are the values of the chunk.
func TestDictionaryHoldsEveryValue(t *testing.T) {
	for _, codec := range testCodecs {
		s := makeFile(t, 9, []int{500}, codec, false, 1<<20, true)
		f, err := openBytes(s.bytes)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for leaf, v := range s.groups[0] {
			got, ok, err := f.DictionaryValues(0, leaf, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if ok != f.RowGroup(0).Leaves[leaf].AllDict {
				t.Errorf("%s, column %s: ok %t", codec, v.Leaf.Path(), ok)
			}
			if !ok {
				continue
			}
			found++
			var a, b []string
			for i := range v.Values.Len() {
				a = append(a, fmt.Sprintf("%x", v.Values.At(i)))
			}
			for _, e := range got {
				b = append(b, fmt.Sprintf("%x", e))
			}
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(slices.Compact(a), b) {
				t.Errorf("%s, column %s: the dictionary has %d entries where the column has %d values", codec, v.Leaf.Path(), len(b), len(a))
			}
			if _, ok, err := f.DictionaryValues(0, leaf, 3); ok || err != nil {
				t.Errorf("above the limit: %t, %v", ok, err)
			}
		}
		// Without compression arrow-go gives up on dictionaries that a first estimate finds too large.
		if found < 10 && codec != compress.Codecs.Uncompressed {
			t.Errorf("%s: only %d columns have a dictionary", codec, found)
		}
	}
}
