package block

import "testing"

func TestBufferClasses(t *testing.T) {
	last, lastClass := 1<<minBufferBits, -1
	for n := 1<<minBufferBits + 1; n <= 1<<maxBufferBits; n++ {
		class, size, ok := bufferClass(n)
		if !ok || size < n || size > n+n/bufferSteps || class < 0 || class >= len(bufferPools) {
			t.Fatalf("%d bytes: class %d of %d bytes, %v", n, class, size, ok)
		}
		if size != last && (class != lastClass+1 || n != last+1) {
			t.Fatalf("%d bytes: class %d of %d bytes follows class %d of %d", n, class, size, lastClass, last)
		}
		if again, _, _ := bufferClass(size); again != class {
			t.Fatalf("a buffer of %d bytes goes back to class %d, not %d", size, again, class)
		}
		last, lastClass = size, class
	}
	if lastClass != len(bufferPools)-1 {
		t.Errorf("%d classes of %d", lastClass+1, len(bufferPools))
	}
	for _, n := range []int{0, 1, 1 << minBufferBits, 1<<maxBufferBits + 1} {
		if _, size, ok := bufferClass(n); ok || size != n {
			t.Errorf("%d bytes have a class of %d", n, size)
		}
		if b := getBuffer(n); len(b) != 0 || cap(b) < n {
			t.Errorf("%d bytes: %d of %d", n, len(b), cap(b))
		}
	}
}

func TestBuffersAreAsLargeAsAskedFor(t *testing.T) {
	for range 3 {
		for _, n := range []int{5000, 70_000, 1 << 20} {
			b := getBuffer(n)
			_, size, _ := bufferClass(n)
			if len(b) != 0 || cap(b) != size {
				t.Errorf("%d bytes: %d of %d", n, len(b), cap(b))
			}
			putBuffer(append(b, 1, 2, 3))
			putBuffer(make([]byte, n+1)[: 1 : n/2]) // of no class: dropped
		}
	}
}
