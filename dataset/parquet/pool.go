package parquet

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Buffers come in sizes that are powers of two from 2^minClass to 2^maxClass. Larger ones are left
// to the garbage collector, so that one huge page does not stay in memory for ever.
const (
	minClass = 12
	maxClass = 24
)

var bufferPools [maxClass + 1]sync.Pool

// getBuffer returns a buffer of length n with whatever was in it before.
func getBuffer(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if class > maxClass {
		return make([]byte, n)
	}
	if p, ok := bufferPools[class].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, 1<<class)
}

// putBuffer gives a buffer of getBuffer back. Nobody may use it afterwards.
func putBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minClass || class > maxClass || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	bufferPools[class].Put(&b)
}

// pooled is the allocator that arrow-go gets: the page buffers of one column chunk are those of the
// one before. Unlike arrow-go's own it does not zero what it hands out; page buffers are written
// before they are read.
type pooled struct{}

var _ memory.Allocator = pooled{}

func (pooled) Allocate(n int) []byte { return getBuffer(n) }

func (pooled) Reallocate(n int, b []byte) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	bigger := getBuffer(n)
	copy(bigger, b)
	putBuffer(b)
	return bigger
}

func (pooled) Free(b []byte) { putBuffer(b) }
