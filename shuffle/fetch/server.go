package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	blocksv1 "github.com/sluice-engine/sluice/proto/gen/sluice/blocks/v1"
	"github.com/sluice-engine/sluice/proto/wire"
	"github.com/sluice-engine/sluice/shuffle/store"
)

const (
	// batchBytes is when a message of several small frames is sent: with it, a thousand partitions
	// of a kilobyte cost four messages and not a thousand.
	batchBytes = 256 << 10
	// maxStreams limits the fetches that one server runs at a time. Each holds one piece in memory,
	// and a file handle for every segment that has something to give.
	maxStreams = 1024
	// maxSources limits one request; a job has at most that many map tasks by far.
	maxSources = 1 << 20
)

// piecePool holds buffers of 1 KiB to 16 MiB. gRPC's own pool has nothing between 32 KiB and 1 MiB,
// where most pieces are.
var piecePool = newPiecePool()

func newPiecePool() mem.BufferPool {
	var exponents []uint8
	for e := uint8(10); e <= 24; e++ {
		exponents = append(exponents, e)
	}
	pool, err := mem.NewBinaryTieredBufferPool(exponents...)
	if err != nil {
		return mem.DefaultBufferPool()
	}
	return pool
}

// Server is the block server of an executor: it streams pieces of the map outputs that resolve knows.
type Server struct {
	blocksv1.UnimplementedBlockServiceServer
	fsys    vfs.FS
	resolve func(model.AttemptID) ([]model.Segment, bool)
	streams chan struct{} // holds one token per running stream
}

// NewServer makes a block server. resolve returns the files of a finished map attempt on this
// executor, false for one that it does not hold; it is called concurrently. No path comes from the
// network.
func NewServer(fsys vfs.FS, resolve func(model.AttemptID) ([]model.Segment, bool)) *Server {
	return &Server{fsys: fsys, resolve: resolve, streams: make(chan struct{}, maxStreams)}
}

// Register makes a gRPC server serve blocks.
func (s *Server) Register(r grpc.ServiceRegistrar) { blocksv1.RegisterBlockServiceServer(r, s) }

// Fetch is the RPC; see blocks.proto.
func (s *Server) Fetch(req *blocksv1.FetchRequest, stream grpc.ServerStreamingServer[blocksv1.FetchResponse]) (err error) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return wire.Status(codes.ResourceExhausted, "too many block streams at this executor").Err()
	}
	if err := checkRequest(req); err != nil {
		return wire.Status(codes.InvalidArgument, err.Error()).Err()
	}
	var m merged
	defer func() {
		if cerr := m.close(); err == nil && cerr != nil {
			err = wire.Status(codes.Internal, cerr.Error()).Err()
		}
	}()
	if err := s.open(&m, req); err != nil {
		return err
	}
	w := frameWriter{send: func(data mem.BufferSlice) error { return stream.SendMsg(&rawMessage{data: data}) }}
	defer w.discard()
	return s.stream(stream.Context(), &m, &w, req)
}

func checkRequest(req *blocksv1.FetchRequest) error {
	if req.GetRange() == nil || len(req.GetSources()) == 0 || len(req.GetSources()) > maxSources {
		return fmt.Errorf("fetch: want a range and 1 to %d sources, got %d", maxSources, len(req.GetSources()))
	}
	for i, src := range req.GetSources() {
		if i > 0 && src.GetIndex() <= req.GetSources()[i-1].GetIndex() {
			return errors.New("fetch: the sources are not in ascending order")
		}
	}
	return nil
}

// open resolves the sources and opens their segments.
func (s *Server) open(m *merged, req *blocksv1.FetchRequest) error {
	rg := wire.FromReduceRange(req.GetRange())
	var start *position
	if p := req.GetStart(); p != nil {
		start = &position{key: wire.FromPartitionKey(p.GetKey()), source: int(p.GetSource()),
			segment: int(p.GetSegment()), seq: int(p.GetSeq())}
	}
	for _, src := range req.GetSources() {
		attempt := wire.FromAttemptID(src.GetAttempt())
		segments, ok := s.resolve(attempt)
		if !ok {
			return sourceStatus(codes.NotFound, attempt, errors.New("this executor does not hold it"))
		}
		switch err := m.add(s.fsys, rg, int(src.GetIndex()), segments, start); {
		case errors.Is(err, fs.ErrNotExist):
			return sourceStatus(codes.NotFound, attempt, err)
		case err != nil:
			return sourceStatus(codes.DataLoss, attempt, err)
		}
	}
	return nil
}

// sourceStatus says which map output cannot be served. The client knows who it asked and fills in the holder.
func sourceStatus(code codes.Code, attempt model.AttemptID, cause error) error {
	f := model.Failf(model.ReasonFetchFailed, "output of %s: %w", attempt, cause)
	f.Fetch = &model.FetchFailed{Attempt: attempt, Cause: cause.Error()}
	return wire.FailureStatus(code, *f)
}

// stream sends the pieces in order, then each source's end, then the stream's.
func (s *Server) stream(ctx context.Context, m *merged, w *frameWriter, req *blocksv1.FetchRequest) error {
	attempt := func(index int) model.AttemptID {
		for _, src := range req.GetSources() {
			if int(src.GetIndex()) == index {
				return wire.FromAttemptID(src.GetAttempt())
			}
		}
		return model.AttemptID{}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := m.peek()
		if errors.Is(err, io.EOF) {
			break
		}
		at, e := c.at(), c.entries[0]
		buf, err := readPiece(c.reader, e)
		if err != nil {
			return sourceStatus(codes.DataLoss, attempt(at.source), err)
		}
		if err := w.piece(at, e, buf); err != nil {
			return err
		}
		if err := m.pop(); err != nil {
			return sourceStatus(codes.DataLoss, attempt(at.source), err)
		}
	}
	var all totals
	for _, t := range m.totals {
		all.rows, all.pieces, all.bytes = all.rows+t.rows, all.pieces+t.pieces, all.bytes+t.bytes
		if err := w.end(frameSourceEnd, t.source, t.totals); err != nil {
			return err
		}
	}
	if err := w.end(frameStreamEnd, len(m.totals), all); err != nil {
		return err
	}
	return w.flush()
}

// readPiece reads a verified piece into a pooled buffer, behind room for its first frame's header and
// path.
func readPiece(r *store.Reader, e store.Entry) (*[]byte, error) {
	room := headerBytes + len(e.Key.Path)
	p := piecePool.Get(room + int(e.Length))
	data, err := r.Read(e, (*p)[room:])
	if err != nil {
		piecePool.Put(p)
		return nil, err
	}
	if n := len(data); n != int(e.Length) || n > 0 && &data[0] != &(*p)[room] {
		piecePool.Put(p)
		return nil, fmt.Errorf("reading %d bytes of partition %s returned %d elsewhere", e.Length, e.Key, n)
	}
	return p, nil
}

// frameWriter cuts pieces into frames and packs small frames into one message.
type frameWriter struct {
	send  func(mem.BufferSlice) error // takes over the buffers
	batch mem.BufferSlice
	bytes int
}

// piece sends one piece. It takes over p, which came from piecePool and has the piece behind room for
// a header and the key's path; so the first frame needs no memory of its own.
func (w *frameWriter) piece(at position, e store.Entry, p *[]byte) error {
	path, b := at.key.Path, *p
	room := headerBytes + len(path)
	if len(path) > maxPathBytes || at.seq > math.MaxInt32 || at.segment > math.MaxInt32 {
		piecePool.Put(p)
		return wire.Status(codes.Internal, fmt.Sprintf("%s cannot be sent: its path has %d bytes", at, len(path))).Err()
	}
	n := min(len(b), maxFrame)
	copy(b[headerBytes:], path)
	h := header{kind: framePiece, last: n == len(b), pathBytes: uint16(len(path)), source: uint32(at.source),
		segment: uint32(at.segment), seq: uint32(at.seq), bucket: at.key.Bucket, pieceBytes: uint64(len(b) - room),
		rows: uint64(e.Rows), payload: uint32(n - room), pieceCRC: e.CRC, crc: crc32.Checksum(b[headerBytes:n], castagnoli)}
	h.encode(b)
	rest := mem.NewBuffer(p, piecePool)
	if err := w.fit(n); err != nil {
		rest.Free()
		return err
	}
	for !h.last {
		var part mem.Buffer
		part, rest = mem.SplitUnsafe(rest, n)
		w.add(part)
		n = min(rest.Len(), maxFrame-headerBytes)
		h.offset += uint64(h.payload)
		h.last, h.pathBytes, h.payload = n == rest.Len(), 0, uint32(n)
		h.crc = crc32.Checksum(rest.ReadOnlyData()[:n], castagnoli)
		if err := w.fit(headerBytes + n); err != nil {
			rest.Free()
			return err
		}
		w.header(&h)
	}
	w.add(rest)
	if w.bytes >= batchBytes {
		return w.flush()
	}
	return nil
}

// fit makes room for a frame of n bytes.
func (w *frameWriter) fit(n int) error {
	if w.bytes+n > maxFrame {
		return w.flush()
	}
	return nil
}

// add takes over b.
func (w *frameWriter) add(b mem.Buffer) {
	w.batch = append(w.batch, b)
	w.bytes += b.Len()
}

func (w *frameWriter) header(h *header) {
	b := make([]byte, headerBytes)
	h.encode(b)
	w.add(mem.SliceBuffer(b))
}

// end sends totals.
func (w *frameWriter) end(kind frameKind, source int, t totals) error {
	if err := w.fit(headerBytes); err != nil {
		return err
	}
	w.header(&header{kind: kind, source: uint32(source), pieceBytes: uint64(t.bytes), offset: uint64(t.pieces),
		rows: uint64(t.rows)})
	return nil
}

func (w *frameWriter) flush() error {
	if w.bytes == 0 {
		return nil
	}
	batch := w.batch
	w.batch, w.bytes = nil, 0
	return w.send(batch)
}

// discard frees what was not sent.
func (w *frameWriter) discard() { w.batch.Free() }
