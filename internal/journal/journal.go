// Package journal keeps the durable entries of a coordinator in order: one append-only list in a
// bbolt file.
//
// An entry is opaque bytes; it is stored with a CRC32C in front of it, under its index. Appends
// are durable when they return. A replicated log can take its place behind the same methods.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Format is the version of the file layout; another one is refused by name.
const Format = 1

// MaxEntryBytes limits one entry.
const MaxEntryBytes = 1 << 20

var (
	bucketEntries = []byte("entries")
	bucketMeta    = []byte("meta")
	keyFormat     = []byte("format")
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
)

// ErrLocked says that another process has the journal open.
var ErrLocked = errors.New("journal is open in another process")

// Journal is an open journal. Its methods must be called by one goroutine.
type Journal struct {
	db   *bolt.DB
	path string
	next uint64
}

// Open opens or creates the journal at path. A journal that is open elsewhere is ErrLocked.
func Open(path string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 200 * time.Millisecond, NoFreelistSync: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j := &Journal{db: db, path: path}
	if err := db.Update(j.setup); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), db.Close())
	}
	return j, nil
}

func (j *Journal) setup(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	switch v := meta.Get(keyFormat); {
	case v == nil:
		if err := meta.Put(keyFormat, binary.BigEndian.AppendUint32(nil, Format)); err != nil {
			return err
		}
	case len(v) != 4 || binary.BigEndian.Uint32(v) != Format:
		return fmt.Errorf("written in format %x; this version reads format %d only", v, Format)
	}
	entries, err := tx.CreateBucketIfNotExists(bucketEntries)
	if err != nil {
		return err
	}
	j.next = 1
	if k, _ := entries.Cursor().Last(); k != nil {
		if len(k) != 8 {
			return fmt.Errorf("bad key %x", k)
		}
		j.next = binary.BigEndian.Uint64(k) + 1
	}
	return nil
}

// Append makes entries durable, all or none of them.
func (j *Journal) Append(entries ...[]byte) error {
	if len(entries) == 0 {
		return nil
	}
	next := j.next
	err := j.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEntries)
		b.FillPercent = 0.95 // keys only grow
		for _, e := range entries {
			if len(e) > MaxEntryBytes {
				return fmt.Errorf("entry of %d bytes is above the limit of %d", len(e), MaxEntryBytes)
			}
			v := binary.BigEndian.AppendUint32(make([]byte, 0, len(e)+4), crc32.Checksum(e, castagnoli))
			if err := b.Put(binary.BigEndian.AppendUint64(nil, next), append(v, e...)); err != nil {
				return err
			}
			next++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	j.next = next
	return nil
}

// Replay calls fn for every entry in order. The bytes are valid during the call only. A gap, a bad
// checksum or an error of fn ends it.
func (j *Journal) Replay(fn func(index uint64, entry []byte) error) error {
	return j.db.View(func(tx *bolt.Tx) error {
		want := uint64(1)
		c := tx.Bucket(bucketEntries).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if len(k) != 8 || binary.BigEndian.Uint64(k) != want {
				return fmt.Errorf("journal %s: entry %d is missing", j.path, want)
			}
			if len(v) < 4 || crc32.Checksum(v[4:], castagnoli) != binary.BigEndian.Uint32(v) {
				return fmt.Errorf("journal %s: entry %d is damaged (bad checksum)", j.path, want)
			}
			if err := fn(want, v[4:]); err != nil {
				return fmt.Errorf("journal %s: entry %d: %w", j.path, want, err)
			}
			want++
		}
		return nil
	})
}

// Len is the number of entries.
func (j *Journal) Len() uint64 { return j.next - 1 }

// Close closes the file.
func (j *Journal) Close() error { return j.db.Close() }
