package block

import (
	"math/bits"
	"sync"
)

// Buffers of open pages and closed pages are used again and again: on many machines the first touch of
// fresh memory costs more than copying into it several times. They come in sizes of eight steps per
// power of two, so that the same row makes the same capacities however often a buffer was used.
const (
	minBufferBits = 12 // smaller ones come from the heap
	maxBufferBits = 21 // so do larger ones
	bufferSteps   = 8
)

// bufferPools hold *[]byte of the full size of their class.
var bufferPools [(maxBufferBits - minBufferBits) * bufferSteps]sync.Pool

// bufferClass returns the class for n bytes and its size, or false when there is none.
func bufferClass(n int) (class, size int, ok bool) {
	if n <= 1<<minBufferBits || n > 1<<maxBufferBits {
		return 0, n, false
	}
	octave := bits.Len(uint(n-1)) - 1 // 1<<octave < n <= 2<<octave
	step := 1 << octave / bufferSteps
	k := (n - 1<<octave + step - 1) / step // 1 to bufferSteps
	return (octave-minBufferBits)*bufferSteps + k - 1, 1<<octave + k*step, true
}

// getBuffer returns an empty buffer for at least n bytes. Its bytes are those of whoever had it before.
func getBuffer(n int) []byte {
	class, size, ok := bufferClass(n)
	if ok {
		if b, ok := bufferPools[class].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}

// putBuffer gives a buffer back; nobody may use it, or a part of it, any more.
func putBuffer(b []byte) {
	if class, size, ok := bufferClass(cap(b)); ok && size == cap(b) {
		bufferPools[class].Put(&b)
	}
}

// Recycle gives the bytes of all pages back to the encoders and leaves the chunk empty. The caller must
// own them: not the pages of a chunk that came from DecodePiece, nor any that others still refer to.
func (c *Chunk) Recycle() {
	for i := range c.Pages {
		putBuffer(c.Pages[i].Bytes)
	}
	*c = Chunk{}
}
