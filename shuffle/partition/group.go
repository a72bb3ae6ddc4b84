package partition

import "slices"

// Group sorts the rows of a batch by partition, keeping their order within each: rows of id k are
// order[starts[k]:starts[k+1]]. It is a counting sort; every id must be below numKeys. order and
// starts are reused when they are large enough.
func Group(ids []uint32, numKeys int, order, starts []uint32) (sorted, bounds []uint32) {
	order = slices.Grow(order[:0], len(ids))[:len(ids)]
	starts = slices.Grow(starts[:0], numKeys+1)[:numKeys+1]
	clear(starts)
	for _, id := range ids {
		starts[id]++
	}
	sum := uint32(0)
	for k, n := range starts {
		starts[k] = sum
		sum += n
	}
	for row, id := range ids {
		order[starts[id]] = uint32(row)
		starts[id]++
	}
	// Each entry now holds the end of its rows, which is the start of the next.
	copy(starts[1:], starts[:numKeys])
	starts[0] = 0
	return order, starts
}
