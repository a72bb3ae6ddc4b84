// Package store keeps the pieces of a map output on disk: data files with an index beside each.
//
// A segment is one data file, which holds pieces one after another in the order of their partition
// keys, and one index file, which says where each is. docs/format.md describes the bytes. An attempt
// that runs out of its memory budget seals several segments; they are read in order, never merged.
//
// # Durability
//
// Both files are written under names that end in .tmp. Seal renames the data file first and the
// index last, so a segment exists from the moment its index has its name: that is the one atomic
// step. Nothing is synced to the disk. A process that dies leaves what the kernel already has,
// which is all that counts for the shuffle; a machine that is lost takes its scratch disk with it,
// synced or not. After a power failure a file may be torn or empty under its final name: the
// index carries the length and the checksum of both files' contents, so Open or Read find it, and the
// map task runs again. Syncing would cost more than the write itself and save nothing but that run.
package store

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/sluice-engine/sluice/model"
)

// ErrCorrupt is in the chain of every error about a data file or index whose bytes are not what a
// Writer wrote.
var ErrCorrupt = errors.New("corrupt map output")

// corruptf makes an error about bad bytes of a file.
func corruptf(name, format string, a ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, name, fmt.Errorf(format, a...))
}

// Entry names one piece of a data file.
type Entry struct {
	Key    model.PartitionKey
	Seq    int   // of the piece in its partition, from 0
	Offset int64 // in the data file
	Length int64
	Rows   int64
	CRC    uint32 // Checksum of the piece
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pieceTrailer is the length of a piece's own checksum and end mark.
const pieceTrailer = 8

// Checksum is the checksum of a piece that its Entry holds: CRC32C of its last eight bytes followed
// by all before them. The piece ends with a CRC32C of itself, and the CRC of bytes that end with
// their own CRC is the same number for all bytes of one length: it would not tell one piece from
// another. Turned around it does. The definition is durable.
func Checksum(piece []byte) uint32 {
	cut := max(0, len(piece)-pieceTrailer)
	return crc32.Update(crc32.Checksum(piece[cut:], castagnoli), castagnoli, piece[:cut])
}
