package fetch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	blocksv1 "github.com/sluice-engine/sluice/proto/gen/sluice/blocks/v1"
)

func ranges() map[string]model.ReduceRange {
	hot := model.PartitionKey{Bucket: 3, Path: "type=1\xff"}
	return map[string]model.ReduceRange{
		"everything":   everything(),
		"some buckets": {Lo: 2, Hi: 5},
		"except":       {Lo: 3, Hi: 6, Except: []model.PartitionKey{hot, {Bucket: 5, Path: "type=0\xff"}}},
		"only":         {Only: &hot},
		"nothing":      {Lo: 100, Hi: 200},
	}
}

// Local files, gRPC, and a mixture of both say the same, and it is what was written.
func TestLocalAndRemoteAgree(t *testing.T) {
	c := newCluster(t, ordinary, 1)
	c.serve(vfs.OS, nil)
	for name, rg := range ranges() {
		t.Run(name, func(t *testing.T) {
			want := c.expect(rg)
			var bytes int64
			for _, i := range want {
				bytes += int64(len(i.Data))
			}
			got, n, err := drain(t, c.options(), rg, c.sources)
			if err != nil || n != (model.FetchCounters{LocalBytes: bytes}) {
				t.Fatalf("local: %v, %+v", err, n)
			}
			compare(t, got, want)

			o := c.options()
			o.Remote = true
			if got, n, err = drain(t, o, rg, c.sources); err != nil || n != (model.FetchCounters{RemoteBytes: bytes}) {
				t.Fatalf("remote: %v, %+v", err, n)
			}
			compare(t, got, want)

			mixed := slices.Clone(c.sources)
			mixed[1].HostID, mixed[4].HostID = "host-b", ""
			if got, n, err = drain(t, c.options(), rg, mixed); err != nil || n.LocalBytes+n.RemoteBytes != bytes {
				t.Fatalf("mixed: %v, %+v", err, n)
			}
			compare(t, got, want)
		})
	}
}

// A limit far below one piece slows a fetch down and stops nothing.
func TestTinyLimitDoesNotDeadlock(t *testing.T) {
	c := newCluster(t, shape{maps: 24, holders: 12, segments: 1, buckets: 16, values: 4, pieces: 2,
		size: func(r *rand.Rand) int { return 1 + r.IntN(20000) }}, 2)
	c.serve(vfs.OS, nil)
	o := c.options()
	o.Remote, o.MaxBytesInFlight = true, 1
	got, _, err := drain(t, o, everything(), c.sources)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, c.expect(everything()))
}

// The limit is kept: what is reserved never exceeds it by more than a piece of each holder.
func TestBytesInFlightAreLimited(t *testing.T) {
	c := newCluster(t, shape{maps: 4, holders: 2, segments: 1, buckets: 20, values: 2, pieces: 3,
		size: func(*rand.Rand) int { return 100_000 }}, 3)
	c.serve(vfs.OS, nil)
	o := c.options()
	o.Remote, o.MaxBytesInFlight = true, 350_000
	s, err := Open(t.Context(), o, everything(), c.sources)
	if err != nil {
		t.Fatal(err)
	}
	f := s.(*stream).flight
	for {
		_, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		used := f.used
		f.mu.Unlock()
		if used > 350_000+2*100_000 {
			t.Fatalf("%d bytes in flight", used)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f.used != 0 {
		t.Fatalf("%d bytes were not given back", f.used)
	}
}

func TestNoSources(t *testing.T) {
	for name, sources := range map[string][]model.MapSource{"none": nil, "empty outputs": {{HostID: "x"}, {HostID: testHost}}} {
		got, _, err := drain(t, Options{FS: vfs.OS, HostID: testHost}, everything(), sources)
		if err != nil || len(got) != 0 {
			t.Errorf("%s: %d pieces, %v", name, len(got), err)
		}
	}
}

// Close in the middle, a cancelled Next, a cancelled stream: no goroutine and no byte stays, and
// none of them looks like the end.
func TestStoppingInTheMiddle(t *testing.T) {
	c := newCluster(t, ordinary, 4)
	c.serve(vfs.OS, nil)
	for _, remote := range []bool{false, true} {
		o := c.options()
		o.Remote, o.MaxBytesInFlight = remote, 10_000
		ctx, cancel := context.WithCancel(t.Context())
		s, err := Open(ctx, o, everything(), c.sources)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone, stop := context.WithCancel(t.Context())
		stop()
		if _, err := s.Next(gone); !errors.Is(err, context.Canceled) && err != nil {
			t.Fatalf("a cancelled Next: %v", err)
		}
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatalf("the stream did not survive a cancelled Next: %v", err)
		}
		cancel()
		for err = nil; err == nil; {
			_, err = s.Next(t.Context())
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled stream: %v", err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if f := s.(*stream).flight; f.used != 0 {
			t.Fatalf("%d bytes were not given back", f.used)
		}
	}
}

// flipByte changes one byte of a file.
func flipByte(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFlippedByteOnDisk(t *testing.T) {
	for _, remote := range []bool{false, true} {
		c := newCluster(t, ordinary, 5)
		c.serve(vfs.OS, nil)
		seg := c.sources[3].Segments[1]
		flipByte(t, seg.DataPath, seg.DataBytes/2)
		o := c.options()
		o.Remote = remote
		got, n, err := drain(t, o, everything(), c.sources)
		f := c.wantFetchFailed(err)
		if f.Attempt != c.sources[3].Attempt || n.Refetches != 1 {
			t.Errorf("remote %v: blames %v after %d refetches: %v", remote, f.Attempt, n.Refetches, err)
		}
		compare(t, got, c.expect(everything())[:len(got)])
	}
}

// An index that is not the one that was reported: the local reader asks the holder, the holder says
// that its disk is wrong.
func TestFlippedByteInIndex(t *testing.T) {
	c := newCluster(t, ordinary, 6)
	c.serve(vfs.OS, nil)
	seg := c.sources[2].Segments[0]
	flipByte(t, seg.IndexPath, seg.IndexBytes/2)
	got, _, err := drain(t, c.options(), everything(), c.sources)
	if f := c.wantFetchFailed(err); f.Attempt != c.sources[2].Attempt || len(got) != 0 {
		t.Errorf("blames %v after %d pieces: %v", f.Attempt, len(got), err)
	}
}

func TestFilesGone(t *testing.T) {
	c := newCluster(t, ordinary, 7)
	c.serve(vfs.OS, nil)
	if err := os.Remove(c.sources[5].Segments[0].DataPath); err != nil {
		t.Fatal(err)
	}
	_, n, err := drain(t, c.options(), everything(), c.sources)
	if f := c.wantFetchFailed(err); f.Attempt != c.sources[5].Attempt || n.Refetches != 0 {
		t.Errorf("got %+v, %+v", f, n)
	}
}

// Equal host ids are a hint: files that cannot be opened here are asked for at the holder.
func TestWrongHintFallsBackToTheHolder(t *testing.T) {
	c := newCluster(t, ordinary, 8)
	c.serve(vfs.OS, nil)
	sources := slices.Clone(c.sources)
	for i := range sources {
		sources[i].Segments = slices.Clone(sources[i].Segments)
		for j := range sources[i].Segments {
			sources[i].Segments[j].IndexPath += ".elsewhere"
		}
	}
	got, n, err := drain(t, c.options(), everything(), sources)
	if err != nil || n.LocalBytes != 0 {
		t.Fatalf("%v, %+v", err, n)
	}
	compare(t, got, c.expect(everything()))
}

func TestUnknownAttemptFailsAtOnce(t *testing.T) {
	c := newCluster(t, ordinary, 9)
	c.serve(vfs.OS, nil)
	delete(c.held, c.sources[4].Attempt)
	o := c.options()
	o.Remote = true
	one := c.sources[4:5]
	_, n, err := drain(t, o, everything(), one)
	f := c.wantFetchFailed(err)
	if f.Attempt != c.sources[4].Attempt || n.Refetches != 0 || c.dials != 1 {
		t.Errorf("%+v, %+v, asked %d times", f, n, c.dials)
	}
	if !strings.Contains(err.Error(), "does not hold it") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	c := newCluster(t, ordinary, 10)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.sources[0].Addr = lis.Addr().String()
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	o := c.options()
	o.Remote = true
	_, _, err = drain(t, o, everything(), c.sources[:1])
	c.wantFetchFailed(err)
	if c.dials != 1+len(quick) {
		t.Errorf("asked %d times", c.dials)
	}
}

// The server dies while pieces are on their way; it comes back or not.
func TestServerKilledInTheMiddle(t *testing.T) {
	c := newCluster(t, shape{maps: 2, holders: 1, segments: 1, buckets: 40, values: 2, pieces: 3,
		size: func(*rand.Rand) int { return 300_000 }}, 11)
	servers := c.serve(vfs.OS, nil)
	o := c.options()
	o.Remote, o.MaxBytesInFlight = true, 1
	s, err := Open(t.Context(), o, everything(), c.sources)
	if err != nil {
		t.Fatal(err)
	}
	want := c.expect(everything())
	var got []Item
	for range 3 {
		i, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, Item{Key: i.Key, Source: i.Source, Segment: i.Segment, Seq: i.Seq, Rows: i.Rows, Data: slices.Clone(i.Data)})
	}
	servers[0].Stop()
	for {
		var i Item
		if i, err = s.Next(t.Context()); err != nil {
			break
		}
		got = append(got, Item{Key: i.Key, Source: i.Source, Segment: i.Segment, Seq: i.Seq, Rows: i.Rows, Data: slices.Clone(i.Data)})
	}
	c.wantFetchFailed(err)
	if len(got) == len(want) {
		t.Fatal("the server sent everything before it was killed; the test shows nothing")
	}
	compare(t, got, want[:len(got)])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A server that ends its stream in order without stating the end has not sent everything.
type silentServer struct {
	blocksv1.UnimplementedBlockServiceServer
	inner *Server
	drop  int // frames to leave out at the end
}

type droppingStream struct {
	grpc.ServerStreamingServer[blocksv1.FetchResponse]
	drop int
}

func (s droppingStream) SendMsg(m any) error {
	raw := m.(*rawMessage)
	all := raw.data.Materialize()
	raw.data.Free()
	return s.ServerStreamingServer.SendMsg(message(all[:len(all)-s.drop*headerBytes]))
}

func (s silentServer) Fetch(r *blocksv1.FetchRequest, st grpc.ServerStreamingServer[blocksv1.FetchResponse]) error {
	return s.inner.Fetch(r, droppingStream{st, s.drop})
}

func TestStreamWithoutItsEndIsNotComplete(t *testing.T) {
	c := newCluster(t, shape{maps: 2, holders: 1, segments: 1, buckets: 4, values: 2, pieces: 2,
		size: func(*rand.Rand) int { return 100 }}, 12)
	resolve := func(a model.AttemptID) ([]model.Segment, bool) { s, ok := c.held[a]; return s, ok }
	for drop := range 4 { // the stream's end, and the ends of both sources
		_, addr := listen(t, func(r grpc.ServiceRegistrar) {
			blocksv1.RegisterBlockServiceServer(r, silentServer{inner: NewServer(vfs.OS, resolve), drop: drop})
		})
		sources := slices.Clone(c.sources)
		for i := range sources {
			sources[i].Addr = addr
		}
		o := c.options()
		o.Remote = true
		got, _, err := drain(t, o, everything(), sources)
		switch {
		case drop == 0 && err != nil:
			t.Errorf("the stream as it is: %v", err)
		case drop > 0 && err == nil:
			t.Errorf("%d end frames were left out and nobody noticed", drop)
		case drop > 0 && len(got) == 0:
			t.Errorf("the pieces before the missing end were whole: %v", err)
		}
		if drop > 0 {
			c.wantFetchFailed(err)
		}
	}
}

// A refused token and a server that is none of ours are not the map output's fault.
func TestErrorsThatMappingAgainCannotCure(t *testing.T) {
	for code, reason := range map[codes.Code]model.Reason{
		codes.Unauthenticated: model.ReasonUser,
		codes.Unimplemented:   model.ReasonInternal,
	} {
		c := newCluster(t, ordinary, 13)
		c.serve(vfs.OS, nil, grpc.StreamInterceptor(func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			return status.Error(code, "no")
		}))
		o := c.options()
		o.Remote = true
		_, _, err := drain(t, o, everything(), c.sources[:1])
		var f *model.Failure
		if !errors.As(err, &f) || f.Reason != reason {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

func TestServerRefusesBadRequests(t *testing.T) {
	c := newCluster(t, ordinary, 14)
	c.serve(vfs.OS, nil)
	conn, err := c.dial(t.Context(), c.sources[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]*blocksv1.FetchRequest{
		"nothing":    {},
		"no range":   {Sources: []*blocksv1.Source{{}}},
		"no sources": {Range: nil},
	} {
		stream, err := blocksv1.NewBlockServiceClient(conn).Fetch(t.Context(), req, grpc.CallContentSubtype(codecName))
		if err == nil {
			err = stream.RecvMsg(&rawMessage{})
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One failing read, open or stat at the server, whichever it is: everything arrives, because the
// client asks again.
func TestFaultSweepAtTheServer(t *testing.T) {
	c := newCluster(t, shape{maps: 2, holders: 1, segments: 2, buckets: 3, values: 2, pieces: 2,
		size: func(r *rand.Rand) int { return 1 + r.IntN(500) }}, 15)
	names := slices.Clone(c.sources)
	for failAt := int64(0); ; failAt++ {
		faulty := &vfs.FaultFS{FS: vfs.OS, FailAt: failAt}
		copy(c.sources, names)
		c.serve(faulty, nil)
		c.dials = 0
		o := c.options()
		o.Remote = true
		got, n, err := drain(t, o, everything(), c.sources)
		if err != nil {
			t.Fatalf("operation %d: %v", failAt, err)
		}
		compare(t, got, c.expect(everything()))
		if !faulty.Fired() {
			if failAt < 10 {
				t.Fatalf("only %d operations", failAt)
			}
			return
		}
		if c.dials < 2 {
			t.Fatalf("operation %d failed and nobody asked again: %+v", failAt, n)
		}
	}
}

// brokenFS fails every read of a data file.
type brokenFS struct{ vfs.FS }

type brokenFile struct{ vfs.File }

func (b brokenFS) Open(name string) (vfs.File, error) {
	f, err := b.FS.Open(name)
	if err == nil && strings.HasSuffix(name, ".data") {
		return brokenFile{f}, nil
	}
	return f, err
}

func (brokenFile) ReadAt([]byte, int64) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: "data", Err: vfs.ErrInjected}
}

func TestDiskThatStaysBroken(t *testing.T) {
	for _, remote := range []bool{false, true} {
		c := newCluster(t, ordinary, 16)
		c.serve(brokenFS{vfs.OS}, nil)
		o := c.options()
		o.Remote, o.FS = remote, brokenFS{vfs.OS}
		_, n, err := drain(t, o, everything(), c.sources)
		f := c.wantFetchFailed(err)
		if !strings.Contains(f.Cause, vfs.ErrInjected.Error()) || n.Refetches == 0 {
			t.Errorf("remote %v: %+v, %+v", remote, f, n)
		}
	}
}
