package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

var testAttempt = model.AttemptID{Task: model.TaskID{Job: "20260101-abc", Stage: 0, Index: 3}, Number: 1}

// piece is what a test appends: any bytes will do, the store does not look inside.
type piece struct {
	key  model.PartitionKey
	data []byte
	rows int64
}

// randomPieces returns pieces in the order of their keys, several of some keys.
func randomPieces(rng *rand.Rand, n, maxBytes int) []piece {
	ps := make([]piece, n)
	for i := range ps {
		b := uint32(rng.IntN(6))
		if rng.IntN(20) == 0 {
			b = ^uint32(0)
		}
		data := make([]byte, 1+rng.IntN(maxBytes))
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		ps[i] = piece{model.PartitionKey{Bucket: b, Path: fmt.Sprintf("type=%x", rng.IntN(20))}, data, 1 + rng.Int64N(1000)}
	}
	slices.SortStableFunc(ps, func(a, b piece) int { return a.key.Compare(b.key) })
	return ps
}

func write(fsys vfs.FS, dir string, ps []piece) (w *Writer, seg model.Segment, err error) {
	w, err = NewWriter(fsys, dir, testAttempt, 0)
	if err != nil {
		return nil, seg, err
	}
	for _, p := range ps {
		if err := w.Append(p.key, p.data, p.rows); err != nil {
			return w, seg, err
		}
	}
	seg, err = w.Seal()
	return w, seg, err
}

func mustWrite(t testing.TB, ps []piece) model.Segment {
	t.Helper()
	_, seg, err := write(vfs.OS, t.TempDir(), ps)
	if err != nil {
		t.Fatal(err)
	}
	return seg
}

// readAll reads every entry and compares it with its piece.
func readAll(fsys vfs.FS, seg model.Segment, ps []piece) (err error) {
	r, err := Open(fsys, seg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if len(r.Entries()) != len(ps) {
		return fmt.Errorf("%d entries, want %d", len(r.Entries()), len(ps))
	}
	var buf []byte
	for i, e := range r.Entries() {
		if buf, err = r.Read(e, buf); err != nil {
			return err
		}
		if e.Key != ps[i].key || e.Rows != ps[i].rows || !bytes.Equal(buf, ps[i].data) {
			return fmt.Errorf("entry %d is not what was appended", i)
		}
	}
	return nil
}

func TestWhatWasSealedIsRead(t *testing.T) {
	for _, n := range []int{0, 1, 2, 300} {
		ps := randomPieces(rand.New(rand.NewPCG(uint64(n), 1)), n, 20_000)
		if n == 2 {
			ps[1].data = make([]byte, writeBuffer+1) // passes the buffer
			ps[0].data = ps[1].data[:writeBuffer-1]
		}
		dir := t.TempDir()
		w, seg, err := write(vfs.OS, filepath.Join(dir, "a", "b"), ps)
		if err != nil {
			t.Fatal(err)
		}
		if err := readAll(vfs.OS, seg, ps); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		r, err := Open(vfs.OS, seg)
		if err != nil {
			t.Fatalf("Abort after Seal took the segment away: %v", err)
		}
		if n > 0 && !reflect.DeepEqual(r.Entries(), w.Entries()) {
			t.Error("the reader has other entries than the writer")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if names := filesIn(t, dir); len(names) != 2 {
			t.Errorf("files %v, want data and index", names)
		}
		for range 2 {
			if err := Remove(vfs.OS, seg); err != nil {
				t.Fatal(err)
			}
		}
		if names := filesIn(t, dir); len(names) != 0 {
			t.Errorf("Remove left %v", names)
		}
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNothingIsVisibleBeforeSeal(t *testing.T) {
	dir := t.TempDir()
	w, err := NewWriter(vfs.OS, dir, testAttempt, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{}, []byte("piece"), 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesIn(t, dir) {
		if filepath.Ext(name) != ".tmp" {
			t.Errorf("%s is visible", name)
		}
	}
	for range 2 {
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if names := filesIn(t, dir); len(names) != 0 {
		t.Errorf("Abort left %v", names)
	}
	if _, err := w.Seal(); err == nil {
		t.Error("an aborted writer was sealed")
	}
}

func TestWrongOrderAndEmptyPiecesAreRefused(t *testing.T) {
	w, err := NewWriter(vfs.OS, t.TempDir(), testAttempt, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.Append(model.PartitionKey{Bucket: 1, Path: "b"}, []byte("x"), 1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []piece{
		{model.PartitionKey{Bucket: 0, Path: "c"}, []byte("x"), 1},
		{model.PartitionKey{Bucket: 1, Path: "a"}, []byte("x"), 1},
		{model.PartitionKey{Bucket: 1, Path: "b"}, nil, 1},
		{model.PartitionKey{Bucket: 1, Path: "b"}, []byte("x"), 0},
		{model.PartitionKey{Bucket: 1, Path: string(make([]byte, MaxPathBytes+1))}, []byte("x"), 1},
	} {
		if w.Append(p.key, p.data, p.rows) == nil {
			t.Errorf("%q, %d bytes, %d rows were taken", p.key, len(p.data), p.rows)
		}
	}
}

// TestSelectFindsTheRange compares Select with looking at every entry.
func TestSelectFindsTheRange(t *testing.T) {
	ps := randomPieces(rand.New(rand.NewPCG(1, 2)), 200, 10)
	r, err := Open(vfs.OS, mustWrite(t, ps))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rapid.Check(t, func(t *rapid.T) {
		key := func(name string) model.PartitionKey {
			return model.PartitionKey{Bucket: rapid.Uint32Range(0, 6).Draw(t, name), Path: fmt.Sprintf("type=%x", rapid.IntRange(0, 20).Draw(t, name))}
		}
		rg := model.ReduceRange{
			Lo: rapid.Uint32Range(0, 7).Draw(t, "lo"),
			Hi: rapid.SampledFrom([]uint32{0, 1, 3, 5, 7, ^uint32(0)}).Draw(t, "hi"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "excepts") {
			rg.Except = append(rg.Except, key("except"))
		}
		if rapid.Bool().Draw(t, "one") {
			k := key("only")
			rg.Only = &k
		}
		var want []Entry
		for _, e := range r.Entries() {
			in := e.Key.Bucket >= rg.Lo && e.Key.Bucket < rg.Hi && !slices.Contains(rg.Except, e.Key)
			if rg.Only != nil {
				in = e.Key == *rg.Only
			}
			if in {
				want = append(want, e)
			}
		}
		if got := r.Select(rg); !slices.Equal(got, want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
	})
}

func TestSummarizeAddsSegmentsUp(t *testing.T) {
	key := func(b uint32, p string) model.PartitionKey { return model.PartitionKey{Bucket: b, Path: p} }
	buckets, hot, values := Summarize(
		[]Entry{{Key: key(1, "a"), Length: 100_000, Rows: 5}, {Key: key(1, "a"), Length: 10, Rows: 1}, {Key: key(1, "b"), Length: 1, Rows: 1}},
		[]Entry{{Key: key(0, "z"), Length: 7, Rows: 2}, {Key: key(1, "a"), Length: 5, Rows: 1}, {Key: key(3, "c"), Length: 50, Rows: 9}},
	)
	if want := []model.BucketSize{{Bucket: 0, Rows: 2, Bytes: 7}, {Bucket: 1, Rows: 8, Bytes: 100_016}, {Bucket: 3, Rows: 9, Bytes: 50}}; !slices.Equal(buckets, want) {
		t.Errorf("buckets %v, want %v", buckets, want)
	}
	if want := []model.ValueSize{{Key: key(1, "a"), Rows: 7, Bytes: 100_015}, {Key: key(3, "c"), Rows: 9, Bytes: 50}}; !slices.Equal(hot, want) {
		t.Errorf("hot %v, want %v", hot, want)
	}
	if values != 4 {
		t.Errorf("%d values, want 4", values)
	}
}

// TestAChecksumTellsPiecesApart: bytes that end with their own CRC32C and the same mark all have the
// same CRC32C; Checksum must not.
func TestAChecksumTellsPiecesApart(t *testing.T) {
	end := func(b string) []byte {
		c := crc32.Checksum([]byte(b), castagnoli)
		return append([]byte(b), byte(c), byte(c>>8), byte(c>>16), byte(c>>24), 'E', 'N', 'D', '.')
	}
	a, b := end("one piece"), end("two piece")
	if crc32.Checksum(a, castagnoli) != crc32.Checksum(b, castagnoli) {
		t.Fatal("the reason for Checksum's order does not hold")
	}
	if Checksum(a) == Checksum(b) {
		t.Error("two pieces have one checksum")
	}
}

func TestEveryPrefixAndFlipOfAnIndexIsRefused(t *testing.T) {
	seg := mustWrite(t, randomPieces(rand.New(rand.NewPCG(3, 3)), 5, 10))
	index, err := os.ReadFile(seg.IndexPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := decodeIndex("index", index); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, b []byte) {
		if _, _, _, err := decodeIndex("index", b); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	for n := range index {
		refused(fmt.Sprintf("%d bytes", n), index[:n])
	}
	refused("a byte more", append(slices.Clone(index), 0))
	for i := range index {
		for x := 1; x < 256; x++ {
			b := slices.Clone(index)
			b[i] ^= byte(x)
			refused(fmt.Sprintf("byte %d ^ %d", i, x), b)
		}
	}
}

// TestEveryFlipOfAPieceIsRefused changes the data file under a reader.
func TestEveryFlipOfAPieceIsRefused(t *testing.T) {
	ps := randomPieces(rand.New(rand.NewPCG(4, 4)), 4, 40)
	seg := mustWrite(t, ps)
	data, err := os.ReadFile(seg.DataPath)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		b := slices.Clone(data)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(seg.DataPath, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := readAll(vfs.OS, seg, ps); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: got %v", i, err)
		}
	}
	if err := os.WriteFile(seg.DataPath, data[:len(data)-1], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(vfs.OS, seg); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a data file that is cut off: got %v", err)
	}
}

func TestAnotherIndexIsRefused(t *testing.T) {
	ps := randomPieces(rand.New(rand.NewPCG(5, 5)), 4, 40)
	seg, other := mustWrite(t, ps), mustWrite(t, ps[1:])
	for what, s := range map[string]model.Segment{
		"another file":   {DataPath: seg.DataPath, IndexPath: other.IndexPath, DataBytes: seg.DataBytes, IndexBytes: other.IndexBytes, IndexCRC: seg.IndexCRC},
		"another length": {DataPath: seg.DataPath, IndexPath: seg.IndexPath, DataBytes: seg.DataBytes, IndexBytes: seg.IndexBytes + 1, IndexCRC: seg.IndexCRC},
		"no length":      {DataPath: seg.DataPath, IndexPath: seg.IndexPath, DataBytes: seg.DataBytes, IndexCRC: seg.IndexCRC},
		"another data":   {DataPath: seg.DataPath, IndexPath: seg.IndexPath, DataBytes: seg.DataBytes - 1, IndexBytes: seg.IndexBytes, IndexCRC: seg.IndexCRC},
	} {
		if _, err := Open(vfs.OS, s); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	r, err := Open(vfs.OS, seg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e := r.Entries()[0]
	for _, bad := range []Entry{
		{Key: e.Key, Offset: -1, Length: e.Length}, {Key: e.Key, Offset: seg.DataBytes, Length: 1},
		{Key: e.Key, Offset: 1, Length: seg.DataBytes}, {Key: e.Key, Length: -1}, {Key: e.Key, Offset: 1, Length: 1 << 62},
	} {
		if _, err := r.Read(bad, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("entry at %d with %d bytes: got %v", bad.Offset, bad.Length, err)
		}
	}
}

// TestEveryFaultOfAWriteIsReported fails one operation after the other. The error must come out, and
// after Abort nothing may be left; if Abort is what failed, it is called again.
func TestEveryFaultOfAWriteIsReported(t *testing.T) {
	ps := randomPieces(rand.New(rand.NewPCG(6, 6)), 3, 10)
	ps[1].data = make([]byte, writeBuffer+1)
	for at := int64(0); ; at++ {
		dir := t.TempDir()
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: at, Err: unix.ENOSPC}
		w, _, err := write(fsys, dir, ps)
		if err == nil && !fsys.Fired() {
			if at < 8 {
				t.Fatalf("only %d operations can fail", at)
			}
			return
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("operation %d: got %v", at, err)
		}
		if w != nil {
			if err := w.Abort(); err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
		}
		if names := filesIn(t, dir); len(names) != 0 {
			t.Fatalf("operation %d left %v", at, names)
		}
	}
}

func TestEveryFaultOfAnAbortIsReported(t *testing.T) {
	for at := int64(0); ; at++ {
		dir := t.TempDir()
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: at + 2} // after the directory and the file
		w, err := NewWriter(fsys, dir, testAttempt, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Abort()
		if !fsys.Fired() {
			if at < 5 {
				t.Fatalf("only %d operations can fail", at)
			}
			return
		}
		if !errors.Is(err, vfs.ErrInjected) {
			t.Fatalf("operation %d: got %v", at, err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		if names := filesIn(t, dir); len(names) != 0 {
			t.Fatalf("operation %d left %v", at, names)
		}
	}
}

func TestEveryFaultOfAReadIsReported(t *testing.T) {
	ps := randomPieces(rand.New(rand.NewPCG(7, 7)), 3, 100)
	seg := mustWrite(t, ps)
	for at := int64(0); ; at++ {
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: at}
		err := readAll(fsys, seg, ps)
		if !fsys.Fired() {
			if err != nil || at < 6 {
				t.Fatalf("after %d operations: %v", at, err)
			}
			return
		}
		if !errors.Is(err, vfs.ErrInjected) {
			t.Fatalf("operation %d: got %v", at, err)
		}
	}
}

// TestTheBytesOfAnIndexStay compares an index with the bytes that docs/format.md explains. If it
// fails, the format has changed: indexVersion must change with it.
func TestTheBytesOfAnIndexStay(t *testing.T) {
	a, b := model.PartitionKey{Bucket: 3, Path: "type=appOpen"}, model.PartitionKey{Bucket: 300, Path: "type=login"}
	index, _ := encodeIndex([]Entry{
		{Key: a, Length: 1000, Rows: 20, CRC: 0x04030201},
		{Key: a, Seq: 1, Offset: 1000, Length: 200, Rows: 2, CRC: 0x14131211},
		{Key: b, Offset: 1200, Length: 144, Rows: 1, CRC: 0x24232221},
	})
	want, err := os.ReadFile("testdata/index.hex")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(index); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzIndexDecode: an index is refused, or is exactly what a writer makes of its entries.
func FuzzIndexDecode(f *testing.F) {
	for n := range 4 {
		var entries []Entry
		for i, p := range randomPieces(rand.New(rand.NewPCG(8, uint64(n))), 3*n, 10) {
			entries = append(entries, Entry{Key: p.key, Length: int64(len(p.data)), Rows: p.rows, CRC: uint32(i)})
		}
		index, _ := encodeIndex(entries)
		f.Add(index[:len(index)-8])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// The fuzzer cannot find checksums: it gives all before them, and the rest is made here.
		if len(b) >= 16 {
			n := uint64(len(b) + 8)
			for i := range 8 {
				b[8+i] = byte(n >> (8 * i))
			}
		}
		c := crc32.Checksum(b, castagnoli)
		b = append(slices.Clone(b), byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
		b = append(b, indexEnd...)
		entries, _, _, err := decodeIndex("index", b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, _ := encodeIndex(entries)
		back, _, _, err := decodeIndex("index", again)
		if err != nil || !reflect.DeepEqual(back, entries) {
			t.Fatalf("entries change when they are written again: %v", err)
		}
	})
}
