package store

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/sluice-engine/sluice/model"
)

// The index file. These constants are durable; docs/format.md describes the bytes.
const (
	indexVersion  = 1
	indexMagic    = "SLIX"
	indexEnd      = "XILS"
	indexHeader   = 24 // magic, version, length, number of entries
	indexTrailer  = 24 // data bytes, rows, CRC32C, end mark
	indexOverhead = indexHeader + indexTrailer

	// minEntry is the least that an entry takes: five varints and a checksum.
	minEntry = 9

	// MaxPathBytes limits the path of a partition key.
	MaxPathBytes = 8 << 10
	// MaxIndexBytes limits an index file, and the paths in it before prefixes are taken off: 256 MiB
	// name more than ten million pieces.
	MaxIndexBytes = 256 << 20
)

// encodeIndex writes the index of a data file. Offsets and sequence numbers follow from the order of
// the entries and are not stored.
func encodeIndex(entries []Entry) (index []byte, crc uint32) {
	b := append([]byte(nil), indexMagic...)
	b = binary.LittleEndian.AppendUint32(b, indexVersion)
	b = binary.LittleEndian.AppendUint64(b, 0) // the length, below
	b = binary.LittleEndian.AppendUint64(b, uint64(len(entries)))
	var last model.PartitionKey
	var bytes, rows int64
	for i := range entries {
		e := &entries[i]
		shared := commonPrefix(last.Path, e.Key.Path)
		b = binary.AppendUvarint(b, uint64(e.Key.Bucket-last.Bucket))
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(e.Key.Path)-shared))
		b = append(b, e.Key.Path[shared:]...)
		b = binary.AppendUvarint(b, uint64(e.Length))
		b = binary.AppendUvarint(b, uint64(e.Rows))
		b = binary.LittleEndian.AppendUint32(b, e.CRC)
		last = e.Key
		bytes, rows = bytes+e.Length, rows+e.Rows
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(bytes))
	b = binary.LittleEndian.AppendUint64(b, uint64(rows))
	binary.LittleEndian.PutUint64(b[8:], uint64(len(b)+8))
	crc = crc32.Checksum(b, castagnoli)
	b = binary.LittleEndian.AppendUint32(b, crc)
	return append(b, indexEnd...), crc
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// decodeIndex reads an index and checks all of it: the frame, that keys ascend, and that lengths
// and rows add up to the totals. name stands in the errors.
func decodeIndex(name string, b []byte) (entries []Entry, dataBytes int64, crc uint32, err error) {
	if len(b) < indexOverhead || string(b[:4]) != indexMagic {
		return nil, 0, 0, corruptf(name, "%d bytes do not begin like an index", len(b))
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != indexVersion {
		return nil, 0, 0, corruptf(name, "index version %d; this program reads version %d", v, indexVersion)
	}
	if n := binary.LittleEndian.Uint64(b[8:]); n != uint64(len(b)) {
		return nil, 0, 0, corruptf(name, "%d bytes of an index that has %d", len(b), n)
	}
	end := len(b) - 8
	crc = crc32.Checksum(b[:end], castagnoli)
	if string(b[end+4:]) != indexEnd || binary.LittleEndian.Uint32(b[end:]) != crc {
		return nil, 0, 0, corruptf(name, "the index's CRC32C or end mark does not fit its bytes")
	}
	r := indexReader{name: name, b: b[indexHeader : len(b)-indexTrailer]}
	n := binary.LittleEndian.Uint64(b[16:])
	if n > uint64(len(r.b)/minEntry) {
		return nil, 0, 0, corruptf(name, "%d entries in %d bytes", n, len(b))
	}
	entries = make([]Entry, n)
	var rows int64
	for i := range entries {
		e := &entries[i]
		e.Offset = dataBytes
		r.entry(i, entries)
		if r.err != nil {
			return nil, 0, 0, r.err
		}
		dataBytes, rows = dataBytes+e.Length, rows+e.Rows
	}
	if len(r.b) > 0 {
		return nil, 0, 0, corruptf(name, "%d bytes behind the last entry", len(r.b))
	}
	totals := b[len(b)-indexTrailer:]
	if binary.LittleEndian.Uint64(totals) != uint64(dataBytes) || binary.LittleEndian.Uint64(totals[8:]) != uint64(rows) {
		return nil, 0, 0, corruptf(name, "entries hold %d bytes and %d rows, the totals say otherwise", dataBytes, rows)
	}
	return entries, dataBytes, crc, nil
}

// maxPiece bounds lengths and rows: an index holds less than 2^25 entries, so no sum overflows.
const maxPiece = 1 << 36

// indexReader reads entries. After the first error it reads nothing more.
type indexReader struct {
	name  string
	b     []byte
	paths int // bytes of all paths so far
	err   error
}

func (r *indexReader) fail(format string, a ...any) {
	if r.err == nil {
		r.err, r.b = corruptf(r.name, format, a...), nil
	}
}

func (r *indexReader) uvarint(limit uint64, what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.fail("bad %s of an entry", what)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// entry reads entry i; those before it are known.
func (r *indexReader) entry(i int, entries []Entry) {
	e := &entries[i]
	var last model.PartitionKey
	if i > 0 {
		last = entries[i-1].Key
	}
	e.Key.Bucket = last.Bucket + uint32(r.uvarint(uint64(^last.Bucket), "bucket"))
	shared := r.uvarint(uint64(len(last.Path)), "path")
	own := r.uvarint(MaxPathBytes-shared, "path")
	if own > uint64(len(r.b)) {
		r.fail("the path of an entry is cut off")
		return
	}
	if own == 0 && int(shared) == len(last.Path) {
		e.Key.Path = last.Path // the same string, not a copy: most partitions have several pieces
	} else {
		if r.paths += int(shared + own); r.paths > MaxIndexBytes {
			r.fail("paths take more than %d bytes", MaxIndexBytes)
			return
		}
		e.Key.Path = last.Path[:shared] + string(r.b[:own])
	}
	r.b = r.b[own:]
	e.Length = int64(r.uvarint(maxPiece, "length"))
	e.Rows = int64(r.uvarint(maxPiece, "number of rows"))
	if len(r.b) < 4 {
		r.fail("the checksum of an entry is cut off")
		return
	}
	e.CRC = binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	switch order := last.Compare(e.Key); {
	case e.Length < 1 || e.Rows < 1:
		r.fail("an empty piece")
	case i > 0 && order > 0:
		r.fail("partition %s comes after %s", e.Key, last)
	case i > 0 && order == 0:
		e.Seq = entries[i-1].Seq + 1
	}
}
