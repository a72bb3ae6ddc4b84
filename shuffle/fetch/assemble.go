package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"google.golang.org/grpc/mem"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// firstBuffer is how much memory a piece's claimed length alone can make us allocate; the rest comes
// as its bytes do.
const firstBuffer = 16 << 20

// errBad marks pieces and frames that are not what they should be: worth asking for again, once.
var errBad = errors.New("the data is not what was written")

// sourceError says whose piece it is.
type sourceError struct {
	source int
	err    error
}

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// expected is what one holder was asked for and how much of it came, over all tries.
type expected struct {
	rg       model.ReduceRange
	maxPiece int64
	got      map[int]*totals // by source
	count    int64           // verified pieces
	last     position        // of the last of them
}

// assembler puts the pieces of one try together from frames, and believes nothing: not the order,
// not the lengths, not the end.
type assembler struct {
	want   *expected
	flight *flight
	share  *share
	// deliver takes over a verified piece. It may block.
	deliver func(*fetched) error

	open     bool // inside a piece: head, at, buf and reserved are its
	head     header
	at       position
	buf      []byte
	reserved int64

	path  []byte // scratch
	ended map[int]bool
	over  bool // the end of the stream was stated
}

func newAssembler(want *expected, f *flight, s *share, deliver func(*fetched) error) *assembler {
	return &assembler{want: want, flight: f, share: s, deliver: deliver, ended: map[int]bool{}}
}

// message takes the frames of one message.
func (a *assembler) message(ctx context.Context, data mem.BufferSlice) error {
	if n := data.Len(); n == 0 || n > maxFrame {
		return fmt.Errorf("%w: %w: a message of %d bytes", errBad, errFrame, n)
	}
	r := data.Reader()
	err := a.frames(ctx, r)
	return errors.Join(err, r.Close())
}

func (a *assembler) frames(ctx context.Context, r *mem.Reader) error {
	for r.Remaining() > 0 {
		var raw [headerBytes]byte
		if _, err := io.ReadFull(r, raw[:]); err != nil {
			return fmt.Errorf("%w: %w: cut within a header", errBad, errFrame)
		}
		h, err := decodeHeader(&raw, r.Remaining())
		if err != nil {
			return fmt.Errorf("%w: %w", errBad, err)
		}
		if a.over {
			return fmt.Errorf("%w: %w: a frame behind the end of the stream", errBad, errFrame)
		}
		switch h.kind {
		case framePiece:
			err = a.part(ctx, h, r)
		case frameSourceEnd:
			err = a.sourceEnd(h)
		default:
			err = a.streamEnd(h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part takes one frame of a piece.
func (a *assembler) part(ctx context.Context, h header, r *mem.Reader) error {
	a.path = slices.Grow(a.path[:0], int(h.pathBytes))[:h.pathBytes]
	if _, err := io.ReadFull(r, a.path); err != nil {
		return fmt.Errorf("%w: %w: cut within a path", errBad, errFrame)
	}
	if h.offset == 0 {
		path := a.want.last.key.Path // most often the next piece is of the same partition
		if path != string(a.path) {
			path = string(a.path)
		}
		if err := a.begin(ctx, h, path); err != nil {
			return err
		}
	} else if !a.open || !a.continues(h) {
		return fmt.Errorf("%w: %w: byte %d of %s does not follow", errBad, errFrame, h.offset, h.at(a.at.key.Path))
	}
	n := len(a.buf)
	a.buf = append(a.buf, make([]byte, h.payload)...)
	if _, err := io.ReadFull(r, a.buf[n:]); err != nil {
		return fmt.Errorf("%w: %w: cut within a payload", errBad, errFrame)
	}
	if crc32.Update(crc32.Checksum(a.path, castagnoli), castagnoli, a.buf[n:]) != h.crc {
		return a.bad("a frame of %s arrived with a bad checksum")
	}
	if !h.last {
		return nil
	}
	return a.finish(h)
}

// begin starts a piece: it must be one that we asked for, behind the last one.
func (a *assembler) begin(ctx context.Context, h header, path string) error {
	at := h.at(path)
	_, asked := a.want.got[at.source]
	switch {
	case a.open:
		return fmt.Errorf("%w: %w: %s was not finished", errBad, errFrame, a.at)
	case !asked || !contains(&a.want.rg, at.key):
		return fmt.Errorf("%w: %w: %s of source %d was not asked for", errBad, errFrame, at, at.source)
	case a.ended[at.source]:
		return fmt.Errorf("%w: %w: %s comes after its source's end", errBad, errFrame, at)
	case a.want.count > 0 && at.compare(a.want.last) <= 0:
		return fmt.Errorf("%w: %w: %s comes after %s", errBad, errFrame, at, a.want.last)
	case h.pieceBytes > uint64(min(a.want.maxPiece, math.MaxInt)):
		return fmt.Errorf("%w: %w: %s claims %d bytes, the limit is %d", errBad, errFrame, at, h.pieceBytes, a.want.maxPiece)
	}
	if err := a.flight.reserve(ctx, a.share, int64(h.pieceBytes)); err != nil {
		return err
	}
	a.open, a.head, a.at, a.reserved = true, h, at, int64(h.pieceBytes)
	a.buf = a.flight.buffer(int(min(h.pieceBytes, firstBuffer)))
	return nil
}

func (a *assembler) continues(h header) bool {
	b := &a.head
	return h.source == b.source && h.segment == b.segment && h.seq == b.seq && h.bucket == b.bucket &&
		h.pieceBytes == b.pieceBytes && h.rows == b.rows && h.pieceCRC == b.pieceCRC && h.offset == uint64(len(a.buf))
}

// finish verifies the whole piece and delivers it.
func (a *assembler) finish(h header) error {
	if store.Checksum(a.buf) != h.pieceCRC {
		return a.bad("%s arrived with a bad checksum")
	}
	n := a.reserved
	p := &fetched{at: a.at, rows: int64(h.rows), data: a.buf, flight: a.flight, share: a.share}
	a.open, a.buf, a.reserved = false, nil, 0
	if err := a.deliver(p); err != nil {
		p.release()
		return err
	}
	a.want.last = a.at
	a.want.count++
	a.want.got[a.at.source].add(int64(h.rows), n)
	return nil
}

// bad blames the source of the open piece.
func (a *assembler) bad(format string) error {
	return &sourceError{source: a.at.source, err: fmt.Errorf("%w: "+format, errBad, a.at)}
}

// sourceEnd compares what a source says it has with what came, earlier tries included.
func (a *assembler) sourceEnd(h header) error {
	source := int(h.source)
	got, asked := a.want.got[source]
	switch {
	case a.open:
		return fmt.Errorf("%w: %w: %s was not finished", errBad, errFrame, a.at)
	case !asked || a.ended[source]:
		return fmt.Errorf("%w: %w: the end of source %d, which is not open", errBad, errFrame, source)
	case stated(h) != *got:
		return &sourceError{source: source, err: fmt.Errorf("%w: the source states %+v, received %+v", errBad, stated(h), *got)}
	}
	a.ended[source] = true
	return nil
}

func (a *assembler) streamEnd(h header) error {
	var all totals
	for _, t := range a.want.got {
		all.rows, all.pieces, all.bytes = all.rows+t.rows, all.pieces+t.pieces, all.bytes+t.bytes
	}
	if a.open || len(a.ended) != len(a.want.got) || int(h.source) != len(a.want.got) || stated(h) != all {
		return fmt.Errorf("%w: the stream states its end with %+v of %d sources, received %+v and %d ends",
			errBad, stated(h), h.source, all, len(a.ended))
	}
	a.over = true
	return nil
}

func stated(h header) totals {
	return totals{rows: int64(h.rows), pieces: int64(h.offset), bytes: int64(h.pieceBytes)}
}

// abandon gives back what a try left unfinished.
func (a *assembler) abandon() {
	if a.open {
		a.flight.release(a.share, a.reserved, a.buf)
		a.open, a.buf = false, nil
	}
}
