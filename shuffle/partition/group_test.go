package partition

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestGroupEqualsStableSort(t *testing.T) {
	var order, starts []uint32 // reused, as a map task does
	rapid.Check(t, func(t *rapid.T) {
		numKeys := rapid.IntRange(0, 20).Draw(t, "keys")
		var ids []uint32
		if numKeys > 0 {
			ids = rapid.SliceOf(rapid.Uint32Range(0, uint32(numKeys-1))).Draw(t, "ids")
		}
		order, starts = Group(ids, numKeys, order, starts)
		var want []uint32
		for row := range ids {
			want = append(want, uint32(row))
		}
		slices.SortStableFunc(want, func(x, y uint32) int { return int(ids[x]) - int(ids[y]) })
		if !slices.Equal(order, want) {
			t.Fatalf("order %d, want %d", order, want)
		}
		if len(starts) != numKeys+1 || starts[0] != 0 || starts[numKeys] != uint32(len(ids)) {
			t.Fatalf("starts %d for %d rows", starts, len(ids))
		}
		for k := range numKeys {
			for _, row := range order[starts[k]:starts[k+1]] {
				if ids[row] != uint32(k) {
					t.Fatalf("row %d of id %d lies at %d", row, ids[row], k)
				}
			}
		}
	})
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"type", "type", 0}, {"typ", "type", 1}, {"tpye", "type", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"größe", "grösse", 2}} {
		if got, back := editDistance(c.a, c.b), editDistance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q, %q: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
