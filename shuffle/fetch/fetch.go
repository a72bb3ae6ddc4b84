// Package fetch brings the pieces of a range of partitions from all map outputs to a reduce task, in
// one order: by partition key, then map output, segment and piece. Outputs on the same host are read
// from their files, others are pulled over gRPC; both verify every byte and say the same.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// Item is one piece.
type Item struct {
	Key     model.PartitionKey
	Source  int // index into the sources given to Open
	Segment int // of the map output
	Seq     int // of the piece in its partition and segment
	Rows    int64
	// Data is the whole piece, its checksum verified. It is valid until the next call of Next or
	// Close, and must not be changed.
	Data []byte
}

// Stream is what Open returns. It is used by one goroutine.
type Stream interface {
	// Next returns the next piece. io.EOF comes only after every source stated its end and what it
	// stated was received. A map output that cannot be read is a *model.Failure with
	// ReasonFetchFailed that names its holder and attempt. The error stays, except ctx's own.
	Next(ctx context.Context) (Item, error)
	// Counters may be called at any time, after Close too.
	Counters() model.FetchCounters
	// Close releases everything; no goroutine is left when it returns. It may be repeated.
	Close() error
}

// Defaults of Options.
const (
	DefaultMaxBytesInFlight = 48 << 20
	DefaultMaxPieceBytes    = 1 << 30
)

// defaultBackoff is how long a fetch waits before it asks again after a broken or refused
// connection: a second in all. What takes longer than that is found by the coordinator too.
var defaultBackoff = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond}

// Options say how to fetch.
type Options struct {
	// FS reads local map outputs. Required.
	FS vfs.FS
	// HostID is this process's; a source with the same one is read from its files if they can be
	// opened and the index is the one that the source names.
	HostID string
	// Dial returns the connection to a block server; the stream does not close it. Required when a
	// source is not local.
	Dial func(ctx context.Context, addr string) (grpc.ClientConnInterface, error)
	// MaxBytesInFlight limits the pieces that are held in memory ahead of Next; 0 is 48 MiB. Each
	// holder may have one piece beyond it, or a merge could not go on. Too small: a fetch waits for
	// the network between two pieces. gRPC's own windows (1 MiB a stream) come on top.
	MaxBytesInFlight int64
	// MaxPieceBytes is the largest piece that is believed; 0 is 1 GiB.
	MaxPieceBytes int64
	// Remote pulls over gRPC what could be read from files too.
	Remote bool
	// Backoff has the pauses between tries after a broken connection; nil is 50, 200 and 800 ms.
	// When a try after the last one breaks too, without a piece in between, the fetch has failed.
	Backoff []time.Duration
}

// Open starts to fetch a range from the sources. Goroutines run until Close, or until ctx ends.
func Open(ctx context.Context, o Options, rg model.ReduceRange, sources []model.MapSource) (Stream, error) {
	if o.MaxBytesInFlight <= 0 {
		o.MaxBytesInFlight = DefaultMaxBytesInFlight
	}
	if o.MaxPieceBytes <= 0 {
		o.MaxPieceBytes = DefaultMaxPieceBytes
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{ctx: ctx, cancel: cancel, flight: newFlight(o.MaxBytesInFlight)}
	local, remote := s.openLocal(o, rg, sources)
	if local != nil {
		s.add(local)
	}
	if len(remote) > 0 && o.Dial == nil {
		return nil, errors.Join(errors.New("fetch: a source is on another host and Options.Dial is not set"), s.Close())
	}
	// Reducers start together; in one order they would all ask the same executor first.
	rand.Shuffle(len(remote), func(i, j int) { remote[i], remote[j] = remote[j], remote[i] })
	for _, r := range remote {
		s.add(startRemote(ctx, o, s.flight, rg, r))
	}
	return s, nil
}

// asked is one source with its index.
type asked struct {
	index int
	model.MapSource
}

// openLocal opens what can be read from files and groups the rest by block server.
func (s *stream) openLocal(o Options, rg model.ReduceRange, sources []model.MapSource) (holder, [][]asked) {
	var m merged
	var here []asked
	byAddr := map[string]int{}
	var remote [][]asked
	for i, src := range sources {
		if len(src.Segments) == 0 {
			continue // an empty map output has no files, and nothing to ask for
		}
		if !o.Remote && o.HostID != "" && src.HostID == o.HostID {
			err := m.add(o.FS, rg, i, src.Segments, nil)
			if err == nil {
				here = append(here, asked{i, src})
				continue
			}
			// The ids say that the disk is the same, the disk says otherwise; the holder's word decides.
		}
		at, ok := byAddr[src.Addr]
		if !ok {
			at = len(remote)
			byAddr[src.Addr] = at
			remote = append(remote, nil)
		}
		remote[at] = append(remote[at], asked{i, src})
	}
	if len(here) == 0 {
		return nil, remote
	}
	return &local{merged: &m, sources: here, stream: s}, remote
}

// holder is a sorted stream of pieces: all local sources, or those of one block server.
type holder interface {
	// next returns io.EOF after every source of the holder stated its end.
	next(ctx context.Context) (*fetched, error)
	close() error
}

// fetched is a verified piece in memory.
type fetched struct {
	at   position
	rows int64
	data []byte
	// Of a remote piece: where its bytes are accounted for; nil for a local one.
	flight *flight
	share  *share
}

// release gives the data back.
func (p *fetched) release() {
	if p.flight != nil {
		p.flight.release(p.share, int64(len(p.data)), p.data)
	}
}

// stream merges holders.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	flight *flight

	holders []holder
	heads   []*fetched // nil: the next piece was not taken yet
	ended   []bool
	given   *fetched // what the last Next returned
	err     error    // sticky
	closed  bool

	counters counters
}

func (s *stream) add(h holder) {
	s.holders = append(s.holders, h)
	s.heads = append(s.heads, nil)
	s.ended = append(s.ended, false)
}

func (s *stream) Next(ctx context.Context) (Item, error) {
	if s.err != nil {
		return Item{}, s.err
	}
	s.giveBack()
	least := -1
	for i, h := range s.holders {
		if s.heads[i] == nil && !s.ended[i] {
			head, err := h.next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				s.ended[i] = true
			case err != nil && ctx.Err() != nil:
				return Item{}, ctx.Err()
			case err != nil:
				s.err = err
				return Item{}, err
			default:
				s.heads[i] = head
			}
		}
		if s.heads[i] != nil && (least < 0 || s.heads[i].at.compare(s.heads[least].at) < 0) {
			least = i
		}
	}
	if least < 0 {
		s.err = io.EOF
		return Item{}, io.EOF
	}
	p := s.heads[least]
	s.heads[least], s.given = nil, p
	s.counters.add(p)
	return Item{Key: p.at.key, Source: p.at.source, Segment: p.at.segment, Seq: p.at.seq, Rows: p.rows, Data: p.data}, nil
}

func (s *stream) giveBack() {
	if s.given != nil {
		s.given.release()
		s.given = nil
	}
}

func (s *stream) Counters() model.FetchCounters { return s.counters.get(s.flight) }

func (s *stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.cancel()
	s.giveBack()
	var errs []error
	for i, h := range s.holders {
		if s.heads[i] != nil {
			s.heads[i].release()
		}
		errs = append(errs, h.close())
	}
	if s.err == nil {
		s.err = fs.ErrClosed
	}
	return errors.Join(errs...)
}

// counters are written by Next only; refetches are counted where they happen, in flight.
type counters struct{ local, remote int64 }

func (c *counters) add(p *fetched) {
	if p.flight != nil {
		c.remote += int64(len(p.data))
	} else {
		c.local += int64(len(p.data))
	}
}

func (c *counters) get(f *flight) model.FetchCounters {
	return model.FetchCounters{LocalBytes: c.local, RemoteBytes: c.remote, Refetches: f.refetches.Load()}
}

// failed makes the typed failure that names a source.
func failed(src asked, cause error) *model.Failure {
	f := model.Failf(model.ReasonFetchFailed, "fetching the output of %s from %s at %s: %w",
		src.Attempt, src.Holder, src.Addr, cause)
	f.Fetch = &model.FetchFailed{Holder: src.Holder, Attempt: src.Attempt, Cause: fmt.Sprint(cause)}
	return f
}
