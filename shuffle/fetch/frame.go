package fetch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/sluice-engine/sluice/model"
)

// The frame format, version 1, as docs/protocol.md has it. All of it is part of the protocol between
// releases and must not be changed; a new version gets a new magic.
const (
	frameMagic   = 0x31465153 // "SQF1" in little-endian order
	headerBytes  = 64
	maxFrame     = 1 << 20 // bytes of one frame, and of one message of several frames
	maxPathBytes = math.MaxUint16
)

// frameKind says what a frame is.
type frameKind uint8

const (
	framePiece     frameKind = 1 // a part of a piece
	frameSourceEnd frameKind = 2 // a source has no more; its totals
	frameStreamEnd frameKind = 3 // the stream has no more; totals of all sources
)

// flagLast marks the last frame of a piece.
const flagLast = 1

// errFrame is in the chain of every error about a frame that is not what a server sends.
var errFrame = errors.New("bad frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the fixed part of a frame. In end frames pieceBytes, offset and rows hold the totals of
// bytes, pieces and rows.
type header struct {
	kind       frameKind
	last       bool
	pathBytes  uint16 // of the key's path, which follows the header in the first frame of a piece
	source     uint32
	segment    uint32
	seq        uint32
	bucket     uint32
	pieceBytes uint64
	offset     uint64 // of the payload in the piece
	rows       uint64 // of the piece
	payload    uint32 // bytes after header and path
	pieceCRC   uint32 // store.Checksum of the whole piece
	crc        uint32 // CRC32C of path and payload
}

// encode writes the header with its own checksum.
func (h *header) encode(b []byte) {
	_ = b[headerBytes-1]
	le := binary.LittleEndian
	le.PutUint32(b[0:], frameMagic)
	b[4] = byte(h.kind)
	b[5] = 0
	if h.last {
		b[5] = flagLast
	}
	le.PutUint16(b[6:], h.pathBytes)
	le.PutUint32(b[8:], h.source)
	le.PutUint32(b[12:], h.segment)
	le.PutUint32(b[16:], h.seq)
	le.PutUint32(b[20:], h.bucket)
	le.PutUint64(b[24:], h.pieceBytes)
	le.PutUint64(b[32:], h.offset)
	le.PutUint64(b[40:], h.rows)
	le.PutUint32(b[48:], h.payload)
	le.PutUint32(b[52:], h.pieceCRC)
	le.PutUint32(b[56:], h.crc)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
}

// decodeHeader reads and checks what can be checked about a header alone. remaining is how many
// bytes of the message follow it.
func decodeHeader(b *[headerBytes]byte, remaining int) (header, error) {
	le := binary.LittleEndian
	if m := le.Uint32(b[0:]); m != frameMagic {
		return header{}, fmt.Errorf("%w: magic %#x, want %#x", errFrame, m, frameMagic)
	}
	if le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return header{}, fmt.Errorf("%w: checksum of the header does not match", errFrame)
	}
	if b[5]&^flagLast != 0 {
		return header{}, fmt.Errorf("%w: unknown flags %#x", errFrame, b[5])
	}
	h := header{
		kind: frameKind(b[4]), last: b[5] == flagLast, pathBytes: le.Uint16(b[6:]),
		source: le.Uint32(b[8:]), segment: le.Uint32(b[12:]), seq: le.Uint32(b[16:]), bucket: le.Uint32(b[20:]),
		pieceBytes: le.Uint64(b[24:]), offset: le.Uint64(b[32:]), rows: le.Uint64(b[40:]),
		payload: le.Uint32(b[48:]), pieceCRC: le.Uint32(b[52:]), crc: le.Uint32(b[56:]),
	}
	body := uint64(h.payload) + uint64(h.pathBytes)
	switch {
	case h.kind != framePiece && h.kind != frameSourceEnd && h.kind != frameStreamEnd:
		return header{}, fmt.Errorf("%w: unknown kind %d", errFrame, h.kind)
	case body > maxFrame-headerBytes || body > uint64(max(remaining, 0)):
		return header{}, fmt.Errorf("%w: %d bytes after the header, %d are there", errFrame, body, remaining)
	case h.rows > math.MaxInt64 || h.pieceBytes > math.MaxInt64 || h.offset > math.MaxInt64:
		return header{}, fmt.Errorf("%w: a number is out of range", errFrame)
	case h.kind != framePiece && (body != 0 || h.last || h.crc != 0 || h.pieceCRC != 0):
		return header{}, fmt.Errorf("%w: an end frame with a payload", errFrame)
	case h.kind == framePiece && h.offset > 0 && h.pathBytes > 0:
		return header{}, fmt.Errorf("%w: a path in the middle of a piece", errFrame)
	case h.kind == framePiece && (h.offset > h.pieceBytes || uint64(h.payload) > h.pieceBytes-h.offset):
		return header{}, fmt.Errorf("%w: bytes %d to %d of a piece of %d", errFrame, h.offset, h.offset+uint64(h.payload), h.pieceBytes)
	case h.kind == framePiece && h.last != (h.offset+uint64(h.payload) == h.pieceBytes):
		return header{}, fmt.Errorf("%w: the last frame of a piece is not at its end", errFrame)
	case h.kind == framePiece && h.payload == 0 && !h.last:
		return header{}, fmt.Errorf("%w: an empty frame", errFrame)
	}
	return h, nil
}

// at is the position that the header names; path is known from the piece's first frame.
func (h *header) at(path string) position {
	return position{key: model.PartitionKey{Bucket: h.bucket, Path: path}, source: int(h.source),
		segment: int(h.segment), seq: int(h.seq)}
}
