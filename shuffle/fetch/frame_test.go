package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

func message(b []byte) *rawMessage {
	return &rawMessage{data: mem.BufferSlice{mem.SliceBuffer(b)}}
}

// wireMessages are the messages of a small stream of two sources, as a server sends them.
func wireMessages(t testing.TB, sizes ...int) [][]byte {
	t.Helper()
	var out [][]byte
	w := frameWriter{send: func(d mem.BufferSlice) error {
		out = append(out, d.Materialize())
		d.Free()
		return nil
	}}
	var sum [2]totals
	for i, n := range sizes {
		data := bytes.Repeat([]byte{byte(i + 1)}, n)
		at := position{key: model.PartitionKey{Bucket: uint32(i), Path: fmt.Sprintf("type=%d", i)}, source: i % 2, segment: i % 3}
		e := store.Entry{Key: at.key, Rows: int64(10 + i), Length: int64(n), CRC: store.Checksum(data)}
		p := piecePool.Get(headerBytes + len(at.key.Path) + n)
		copy((*p)[headerBytes+len(at.key.Path):], data)
		if err := w.piece(at, e, p); err != nil {
			t.Fatal(err)
		}
		sum[i%2].add(e.Rows, e.Length)
	}
	var all totals
	for i, s := range sum {
		all.rows, all.pieces, all.bytes = all.rows+s.rows, all.pieces+s.pieces, all.bytes+s.bytes
		if err := w.end(frameSourceEnd, i, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.end(frameStreamEnd, 2, all), w.flush()); err != nil {
		t.Fatal(err)
	}
	return out
}

// receive feeds messages to an assembler. ok: the end was stated and nothing was wrong.
func receive(messages ...[]byte) (got []*fetched, ok bool, f *flight, err error) {
	f = newFlight(1 << 20)
	want := expected{rg: everything(), maxPiece: 4 << 20, got: map[int]*totals{0: {}, 1: {}}}
	a := newAssembler(&want, f, &share{}, func(p *fetched) error { got = append(got, p); return nil })
	defer func() {
		a.abandon()
		for _, p := range got {
			p.release()
		}
	}()
	for _, m := range messages {
		// Pieces that wait for the consumer would block; here there is none.
		f.max = 1 << 62
		if err = a.message(context.Background(), mem.BufferSlice{mem.SliceBuffer(m)}); err != nil {
			return got, false, f, err
		}
	}
	return got, a.over, f, nil
}

func TestFramesRoundTrip(t *testing.T) {
	messages := wireMessages(t, 1, 100, 3<<20, 0, maxFrame, maxFrame-headerBytes-6, 7)
	for i, m := range messages {
		if len(m) > maxFrame {
			t.Errorf("message %d has %d bytes", i, len(m))
		}
	}
	got, ok, f, err := receive(messages...)
	if err != nil || !ok || len(got) != 7 || f.used != 0 {
		t.Fatalf("%d pieces, complete %v, %d bytes kept, %v", len(got), ok, f.used, err)
	}
	if small := wireMessages(t, make([]int, 1000)...); len(small) != 1 {
		t.Errorf("a thousand small pieces went in %d messages", len(small))
	}
}

// Every prefix and every flipped bit of a small stream is refused, or is not complete.
func TestEveryPrefixAndEveryFlipIsRefused(t *testing.T) {
	messages := wireMessages(t, 3, 0, 9)
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	whole := messages[0]
	if _, ok, _, err := receive(whole); !ok || err != nil {
		t.Fatalf("the stream itself: %v", err)
	}
	for n := range whole {
		if _, ok, f, err := receive(whole[:n]); ok || f.used != 0 {
			t.Fatalf("the first %d of %d bytes are complete: %v", n, len(whole), err)
		}
	}
	for bit := range 8 * len(whole) {
		flipped := bytes.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, ok, f, err := receive(flipped); ok || err == nil || !errors.Is(err, errBad) || f.used != 0 {
			t.Fatalf("bit %d of byte %d: complete %v, %v", bit%8, bit/8, ok, err)
		}
	}
}

// Frames that are right one by one and wrong together.
func TestFramesInTheWrongPlace(t *testing.T) {
	const h = headerBytes
	whole := wireMessages(t, 3, 5)[0]
	one, two := whole[:h+6+3], whole[h+6+3:2*(h+6)+8]
	end0, end1, end := whole[len(whole)-3*h:len(whole)-2*h], whole[len(whole)-2*h:len(whole)-h], whole[len(whole)-h:]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	if _, ok, _, err := receive(join(one, two, end1, end0, end)); !ok || err != nil {
		t.Errorf("the ends of sources may come in any order: %v", err)
	}
	for name, m := range map[string][]byte{
		"a piece twice":                join(one, one, two, end0, end1, end),
		"pieces in the wrong order":    join(two, one, end0, end1, end),
		"a piece left out":             join(one, end0, end1, end),
		"a source's end twice":         join(one, two, end0, end0, end1, end),
		"a source's end left out":      join(one, two, end0, end),
		"an end before the last piece": join(one, end0, end1, two, end),
		"a frame behind the end":       join(one, two, end0, end1, end, end),
		"the end first":                join(end, one, two, end0, end1),
	} {
		if _, ok, _, err := receive(m); err == nil || !errors.Is(err, errBad) {
			t.Errorf("%s: complete %v, %v", name, ok, err)
		}
	}
	if _, _, _, err := receive(nil); err == nil {
		t.Error("an empty message was taken")
	}
}

func TestPiecesNobodyAskedFor(t *testing.T) {
	m := wireMessages(t, 3, 5)[0]
	key := model.PartitionKey{Bucket: 1, Path: "type=1"}
	for name, want := range map[string]expected{
		"another range":  {rg: model.ReduceRange{Lo: 1, Hi: 9}, got: map[int]*totals{0: {}, 1: {}}},
		"an exception":   {rg: model.ReduceRange{Hi: 9, Except: []model.PartitionKey{key}}, got: map[int]*totals{0: {}, 1: {}}},
		"one partition":  {rg: model.ReduceRange{Only: &key}, got: map[int]*totals{0: {}, 1: {}}},
		"another source": {rg: everything(), got: map[int]*totals{0: {}, 2: {}}},
		"too big":        {rg: everything(), got: map[int]*totals{0: {}, 1: {}}, maxPiece: 4},
		"again":          {rg: everything(), got: map[int]*totals{0: {}, 1: {}}, count: 1, last: position{key: key, source: 1, segment: 1}},
	} {
		if want.maxPiece == 0 {
			want.maxPiece = 1 << 20
		}
		a := newAssembler(&want, newFlight(1<<30), &share{}, func(*fetched) error { return nil })
		if err := a.message(context.Background(), mem.BufferSlice{mem.SliceBuffer(m)}); !errors.Is(err, errBad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFrameDecode: whatever arrives, nothing panics, no memory stays, no piece is delivered whose
// checksum does not fit, and a stream is complete only with its pieces' sum.
func FuzzFrameDecode(f *testing.F) {
	whole := wireMessages(f, 3, 0, 9)[0]
	f.Add(whole)
	f.Add(whole[:headerBytes])
	f.Add(bytes.Repeat(whole, 2))
	f.Fuzz(func(t *testing.T, m []byte) {
		got, ok, fl, err := receive(m)
		if fl.used != 0 {
			t.Fatalf("%d bytes were not given back", fl.used)
		}
		if ok && err != nil {
			t.Fatalf("complete with an error: %v", err)
		}
		for _, p := range got {
			if !contains(&model.ReduceRange{Hi: 1 << 20}, p.at.key) {
				t.Fatalf("delivered %v", p.at)
			}
		}
		if len(m) >= headerBytes {
			h, err := decodeHeader((*[headerBytes]byte)(m), len(m)-headerBytes)
			if err != nil {
				return
			}
			var again [headerBytes]byte
			h.encode(again[:])
			if !bytes.Equal(again[:], m[:headerBytes]) {
				t.Fatalf("%x decodes to %+v, which encodes to %x", m[:headerBytes], h, again)
			}
		}
	})
}
