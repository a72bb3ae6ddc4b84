package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// Reader reads the pieces of a sealed segment. Its methods may be called concurrently, but not
// together with Close.
type Reader struct {
	seg     model.Segment
	file    vfs.File
	entries []Entry
}

// Open reads the index of a segment, checks it against what seg says of it and against the size of
// the data file, and opens the data file. Errors about wrong bytes have ErrCorrupt in their chain.
func Open(fsys vfs.FS, seg model.Segment) (*Reader, error) {
	if seg.IndexBytes < indexOverhead || seg.IndexBytes > MaxIndexBytes {
		return nil, corruptf(seg.IndexPath, "an index of %d bytes", seg.IndexBytes)
	}
	index, err := vfs.ReadFile(fsys, seg.IndexPath, seg.IndexBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the index of a map output: %w", err)
	}
	entries, dataBytes, crc, err := decodeIndex(seg.IndexPath, index)
	if err != nil {
		return nil, err
	}
	if int64(len(index)) != seg.IndexBytes || crc != seg.IndexCRC || dataBytes != seg.DataBytes {
		return nil, corruptf(seg.IndexPath, "this is another index than the one that was reported")
	}
	f, err := fsys.Open(seg.DataPath)
	if err != nil {
		return nil, fmt.Errorf("opening a map output: %w", err)
	}
	st, err := f.Stat()
	if err == nil && st.Size() != dataBytes {
		err = corruptf(seg.DataPath, "%d bytes where the index says %d", st.Size(), dataBytes)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Reader{seg: seg, file: f, entries: entries}, nil
}

// Entries are all pieces in their order. The caller must not change them.
func (r *Reader) Entries() []Entry { return r.entries }

// Select returns the pieces of a range of partitions, in order. The caller must not change them.
func (r *Reader) Select(rg model.ReduceRange) []Entry {
	if rg.Only != nil {
		return r.partition(*rg.Only)
	}
	if rg.Lo >= rg.Hi {
		return nil
	}
	from := r.search(model.PartitionKey{Bucket: rg.Lo})
	to := r.search(model.PartitionKey{Bucket: rg.Hi})
	if len(rg.Except) == 0 {
		return r.entries[from:to:to]
	}
	except := make(map[model.PartitionKey]bool, len(rg.Except))
	for _, k := range rg.Except {
		except[k] = true
	}
	var out []Entry
	for _, e := range r.entries[from:to] {
		if !except[e.Key] {
			out = append(out, e)
		}
	}
	return out
}

// search returns the first entry whose key is not below k.
func (r *Reader) search(k model.PartitionKey) int {
	return sort.Search(len(r.entries), func(i int) bool { return r.entries[i].Key.Compare(k) >= 0 })
}

// partition returns the pieces of one partition.
func (r *Reader) partition(k model.PartitionKey) []Entry {
	from := r.search(k)
	to := from
	for to < len(r.entries) && r.entries[to].Key == k {
		to++
	}
	return r.entries[from:to:to]
}

// Read returns the bytes of a piece after comparing its checksum. They lie in buf if it is large
// enough, else in new memory.
func (r *Reader) Read(e Entry, buf []byte) ([]byte, error) {
	if e.Offset < 0 || e.Length < 0 || e.Offset > r.seg.DataBytes || e.Length > r.seg.DataBytes-e.Offset {
		return nil, corruptf(r.seg.DataPath, "piece %d of partition %s ends behind the file", e.Seq, e.Key)
	}
	buf = slices.Grow(buf[:0], int(e.Length))[:e.Length]
	// A reader may report the end of the file together with the last bytes.
	if n, err := r.file.ReadAt(buf, e.Offset); err != nil && (n < len(buf) || !errors.Is(err, io.EOF)) {
		if errors.Is(err, io.EOF) {
			return nil, corruptf(r.seg.DataPath, "the file ends in piece %d of partition %s", e.Seq, e.Key)
		}
		return nil, fmt.Errorf("reading piece %d of partition %s: %w", e.Seq, e.Key, err)
	}
	if Checksum(buf) != e.CRC {
		return nil, corruptf(r.seg.DataPath, "the CRC32C of piece %d of partition %s does not fit its bytes", e.Seq, e.Key)
	}
	return buf, nil
}

// Close closes the data file.
func (r *Reader) Close() error { return r.file.Close() }

// Summarize adds up the entries of all segments of a map output, which it does not change: sizes per
// bucket in ascending order; in the order of their keys the partitions that hold more than
// model.HotFraction of the bytes; and the number of different partitions.
func Summarize(segments ...[]Entry) (buckets []model.BucketSize, hot []model.ValueSize, values int64) {
	var parts []model.ValueSize
	var total int64
	for _, entries := range segments {
		for i := range entries {
			e := &entries[i]
			total += e.Length
			if i > 0 && entries[i-1].Key == e.Key {
				last := &parts[len(parts)-1]
				last.Rows, last.Bytes = last.Rows+e.Rows, last.Bytes+e.Length
				continue
			}
			parts = append(parts, model.ValueSize{Key: e.Key, Rows: e.Rows, Bytes: e.Length})
		}
	}
	slices.SortStableFunc(parts, func(a, b model.ValueSize) int { return a.Key.Compare(b.Key) })
	for i := 0; i < len(parts); {
		p := parts[i]
		for i++; i < len(parts) && parts[i].Key == p.Key; i++ {
			p.Rows, p.Bytes = p.Rows+parts[i].Rows, p.Bytes+parts[i].Bytes
		}
		values++
		if n := len(buckets); n > 0 && buckets[n-1].Bucket == p.Key.Bucket {
			buckets[n-1].Rows += p.Rows
			buckets[n-1].Bytes += p.Bytes
		} else {
			buckets = append(buckets, model.BucketSize{Bucket: p.Key.Bucket, Rows: p.Rows, Bytes: p.Bytes})
		}
		if float64(p.Bytes) > model.HotFraction*float64(total) {
			hot = append(hot, p)
		}
	}
	return buckets, hot, values
}
