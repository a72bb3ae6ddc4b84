package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-engine/sluice/model"
	blocksv1 "github.com/sluice-engine/sluice/proto/gen/sluice/blocks/v1"
	"github.com/sluice-engine/sluice/proto/wire"
)

// queuedPieces is how many small pieces may lie ready; big ones are limited by their bytes.
const queuedPieces = 64

// errTruncated is a stream that ended without stating its end.
var errTruncated = errors.New("the stream ended before its end was stated")

// remote pulls the sources of one block server, a goroutine ahead of the merge.
type remote struct {
	o       Options
	sources []asked // ascending by index
	want    expected
	flight  *flight
	share   share
	ctx     context.Context
	cancel  context.CancelFunc
	out     chan *fetched
	err     error // why out was closed; io.EOF at the end
}

func startRemote(ctx context.Context, o Options, f *flight, rg model.ReduceRange, sources []asked) *remote {
	slices.SortFunc(sources, func(a, b asked) int { return a.index - b.index })
	ctx, cancel := context.WithCancel(ctx)
	r := &remote{o: o, sources: sources, flight: f, ctx: ctx, cancel: cancel, out: make(chan *fetched, queuedPieces),
		want: expected{rg: rg, maxPiece: o.MaxPieceBytes, got: map[int]*totals{}}}
	for _, s := range sources {
		r.want.got[s.index] = &totals{}
	}
	go func() {
		defer close(r.out)
		r.err = r.run()
	}()
	return r
}

func (r *remote) next(ctx context.Context) (*fetched, error) {
	select {
	case p, ok := <-r.out:
		if !ok {
			return nil, r.err
		}
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close ends the goroutine and gives back what it had ready.
func (r *remote) close() error {
	r.cancel()
	for p := range r.out {
		p.release()
	}
	return nil
}

// run asks until everything came. A broken connection is asked again after a pause as long as every
// few tries bring a piece; bad data is asked for again once per place.
func (r *remote) run() error {
	tries := 0                          // since the last good piece
	tried, badAt := int64(0), int64(-1) // verified pieces at the last failure, and at the last bad piece
	for {
		err := r.once()
		if err == nil {
			return io.EOF
		}
		if cerr := r.ctx.Err(); cerr != nil {
			return cerr
		}
		if r.want.count != tried {
			tried, tries = r.want.count, 0
		}
		switch classify(err) {
		case final:
			return r.failure(err)
		case bad:
			if badAt == r.want.count {
				return r.failure(fmt.Errorf("twice: %w", err))
			}
			badAt = r.want.count
			r.flight.refetches.Add(1)
		case broken:
			if tries == len(r.o.Backoff) {
				return r.failure(err)
			}
			if err := r.pause(r.o.Backoff[tries]); err != nil {
				return err
			}
			tries++
		}
	}
}

// once makes one call, from the first piece that is still missing to the stated end.
func (r *remote) once() error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel() // ends the RPC, whatever is left of it
	conn, err := r.o.Dial(ctx, r.sources[0].Addr)
	if err != nil {
		return err
	}
	req := &blocksv1.FetchRequest{Range: wire.ReduceRange(r.want.rg)}
	for _, s := range r.sources {
		req.Sources = append(req.Sources, &blocksv1.Source{Index: uint32(s.index), Attempt: wire.AttemptID(s.Attempt)})
	}
	if r.want.count > 0 {
		p := r.want.last.after()
		req.Start = &blocksv1.Position{Key: wire.PartitionKey(p.key), Source: uint32(p.source),
			Segment: uint32(p.segment), Seq: uint32(p.seq)}
	}
	stream, err := blocksv1.NewBlockServiceClient(conn).Fetch(ctx, req,
		grpc.CallContentSubtype(codecName), grpc.MaxCallRecvMsgSize(maxFrame))
	if err != nil {
		return err
	}
	a := newAssembler(&r.want, r.flight, &r.share, r.deliver)
	defer a.abandon()
	for {
		var m rawMessage
		err := stream.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			if !a.over {
				return errTruncated
			}
			return nil
		}
		if err != nil {
			return err
		}
		err = a.message(ctx, m.data)
		m.data.Free()
		if err != nil {
			return err
		}
	}
}

func (r *remote) deliver(p *fetched) error {
	select {
	case r.out <- p:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// pause waits between half and one and a half of d, so that reducers do not come back together.
func (r *remote) pause(d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// outcome says what can be done about a failed call.
type outcome int

const (
	broken outcome = iota // the connection: ask again after a pause
	bad                   // the data: ask again, once
	final                 // nothing
)

func classify(err error) outcome {
	if errors.Is(err, errBad) {
		return bad
	}
	st, ok := status.FromError(err)
	if !ok {
		return broken
	}
	switch st.Code() {
	case codes.DataLoss:
		return bad
	case codes.NotFound, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument:
		return final
	}
	return broken
}

// failure names the source that could not be fetched. A token that was refused and a call that the
// server does not know are no fault of the map output: mapping again would not help.
func (r *remote) failure(err error) error {
	st, _ := status.FromError(err)
	switch st.Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		return model.Failf(model.ReasonUser, "the block server of %s at %s refuses our token (%s): every process of a cluster needs the same",
			r.sources[0].Holder.Executor, r.sources[0].Addr, st.Message())
	case codes.Unimplemented, codes.InvalidArgument:
		return model.Failf(model.ReasonInternal, "the block server of %s at %s does not understand us; do all processes run one version? %w",
			r.sources[0].Holder.Executor, r.sources[0].Addr, err)
	}
	src := r.sources[r.missing()]
	var named *sourceError
	if f, ok := wire.StatusFailure(st); ok && f.Fetch != nil {
		if i := slices.IndexFunc(r.sources, func(a asked) bool { return a.Attempt == f.Fetch.Attempt }); i >= 0 {
			src, err = r.sources[i], errors.New(f.Fetch.Cause)
		}
	} else if errors.As(err, &named) {
		if i := slices.IndexFunc(r.sources, func(a asked) bool { return a.index == named.source }); i >= 0 {
			src = r.sources[i]
		}
	}
	return failed(src, err)
}

// missing is the source to blame when nothing names one: that of the last piece, or the first.
func (r *remote) missing() int {
	if r.want.count == 0 {
		return 0
	}
	return max(0, slices.IndexFunc(r.sources, func(a asked) bool { return a.index == r.want.last.source }))
}
