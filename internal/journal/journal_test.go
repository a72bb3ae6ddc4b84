package journal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func read(t *testing.T, j *Journal) (got []string) {
	t.Helper()
	if err := j.Replay(func(_ uint64, e []byte) error { got = append(got, string(e)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEntriesSurviveInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "journal.db")
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second opener got %v, want ErrLocked", err)
	}
	for i := range 10 {
		if err := j.Append(fmt.Appendf(nil, "e%d", 2*i), fmt.Appendf(nil, "e%d", 2*i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Append(bytes.Repeat([]byte{1}, MaxEntryBytes+1)); err == nil {
		t.Error("an entry above the limit must be refused")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Append([]byte("last")); err != nil {
		t.Fatal(err)
	}
	got := read(t, j)
	if len(got) != 21 || got[7] != "e7" || got[20] != "last" || j.Len() != 21 {
		t.Fatalf("got %q", got)
	}
}

func TestDamageIsNamed(t *testing.T) {
	for name, damage := range map[string]func(b *bolt.Bucket) error{
		"checksum": func(b *bolt.Bucket) error { return b.Put([]byte{0, 0, 0, 0, 0, 0, 0, 2}, []byte("xxxxtwo")) },
		"gap":      func(b *bolt.Bucket) error { return b.Delete([]byte{0, 0, 0, 0, 0, 0, 0, 2}) },
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		j, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append([]byte("one"), []byte("two"), []byte("three")); err != nil {
			t.Fatal(err)
		}
		if err := j.db.Update(func(tx *bolt.Tx) error { return damage(tx.Bucket(bucketEntries)) }); err != nil {
			t.Fatal(err)
		}
		n := 0
		err = j.Replay(func(uint64, []byte) error { n++; return nil })
		if err == nil || n != 1 {
			t.Errorf("%s: replay gave %d entries and %v", name, n, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte{0, 0, 0, 9})
	}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Fatal("format 9 must be refused")
	}
}
