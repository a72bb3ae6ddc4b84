package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testHost = "host-a"

// quick keeps the tests from waiting between tries.
var quick = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}

// cluster is some executors with map outputs on one disk.
type cluster struct {
	t       testing.TB
	dir     string
	sources []model.MapSource
	want    []Item // every piece of every source, in order
	held    map[model.AttemptID][]model.Segment
	noise   *rand.ChaCha8 // content of pieces

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
	dials int
}

// shape says how big a test cluster is.
type shape struct {
	maps, holders, segments, buckets, values, pieces int
	size                                             func(r *rand.Rand) int
}

var ordinary = shape{maps: 6, holders: 3, segments: 2, buckets: 8, values: 3, pieces: 3, size: func(r *rand.Rand) int {
	if r.IntN(40) == 0 {
		return 2<<20 + r.IntN(1<<20) // several frames
	}
	return 1 + r.IntN(3000)
}}

// newCluster writes random map outputs. Their holders have no server yet.
func newCluster(t testing.TB, sh shape, seed uint64) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), held: map[model.AttemptID][]model.Segment{}, conns: map[string]*grpc.ClientConn{}, noise: rand.NewChaCha8([32]byte{byte(seed)})}
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range sh.maps {
		attempt := model.AttemptID{Task: model.TaskID{Job: "job-1", Index: i}, Number: i % 3}
		src := model.MapSource{Attempt: attempt, HostID: testHost, Addr: fmt.Sprintf("holder-%d", i%sh.holders),
			Holder: model.Incarnation{Executor: model.ExecutorID(fmt.Sprintf("e%d", i%sh.holders)), Number: 7}}
		for seal := range sh.segments {
			src.Segments = append(src.Segments, c.segment(sh, r, attempt, i, seal))
		}
		c.sources = append(c.sources, src)
		c.held[attempt] = src.Segments
	}
	slices.SortFunc(c.want, func(a, b Item) int { return place(a).compare(place(b)) })
	t.Cleanup(func() {
		for _, conn := range c.conns {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func place(i Item) position {
	return position{key: i.Key, source: i.Source, segment: i.Segment, seq: i.Seq}
}

func (c *cluster) segment(sh shape, r *rand.Rand, attempt model.AttemptID, source, seal int) model.Segment {
	c.t.Helper()
	w, err := store.NewWriter(vfs.OS, c.dir, attempt, seal)
	if err != nil {
		c.t.Fatal(err)
	}
	for b := range sh.buckets {
		for v := range sh.values {
			key := model.PartitionKey{Bucket: uint32(b), Path: fmt.Sprintf("type=%d\xff", v)}
			for seq := range r.IntN(sh.pieces + 1) {
				data := make([]byte, sh.size(r))
				if _, err := c.noise.Read(data); err != nil {
					c.t.Fatal(err)
				}
				rows := int64(1 + r.IntN(100))
				if err := w.Append(key, data, rows); err != nil {
					c.t.Fatal(err)
				}
				c.want = append(c.want, Item{Key: key, Source: source, Segment: seal, Seq: seq, Rows: rows, Data: data})
			}
		}
	}
	seg, err := w.Seal()
	if err != nil {
		c.t.Fatal(err)
	}
	return seg
}

// serve starts one server for each holder. through, when set, puts something between a server and
// those who connect to it.
func (c *cluster) serve(fsys vfs.FS, through func(addr string) string, opts ...grpc.ServerOption) []*grpc.Server {
	c.t.Helper()
	resolve := func(a model.AttemptID) ([]model.Segment, bool) { s, ok := c.held[a]; return s, ok }
	addrs := map[string]string{}
	var servers []*grpc.Server
	for i := range c.sources {
		name := c.sources[i].Addr
		if _, ok := addrs[name]; !ok {
			srv, addr := listen(c.t, NewServer(fsys, resolve).Register, opts...)
			if through != nil {
				addr = through(addr)
			}
			addrs[name] = addr
			servers = append(servers, srv)
		}
		c.sources[i].Addr = addrs[name]
	}
	return servers
}

// listen runs a server on loopback until the test ends.
func listen(t testing.TB, register func(grpc.ServiceRegistrar), opts ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(opts, grpc.WaitForHandlers(true))...)
	register(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		// Stopped before it served: a test that opened no stream.
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("server: %v", err)
		}
	})
	return srv, lis.Addr().String()
}

func (c *cluster) dial(_ context.Context, addr string) (grpc.ClientConnInterface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	if conn, ok := c.conns[addr]; ok {
		return conn, nil
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}, MinConnectTimeout: 5 * time.Second}))
	if err == nil {
		c.conns[addr] = conn
	}
	return conn, err
}

func (c *cluster) options() Options {
	return Options{FS: vfs.OS, HostID: testHost, Dial: c.dial, Backoff: quick}
}

// expect is what a range must yield.
func (c *cluster) expect(rg model.ReduceRange) []Item {
	var out []Item
	for _, i := range c.want {
		in := i.Key.Bucket >= rg.Lo && i.Key.Bucket < rg.Hi && !slices.Contains(rg.Except, i.Key)
		if rg.Only != nil {
			in = i.Key == *rg.Only
		}
		if in {
			out = append(out, i)
		}
	}
	return out
}

// everything is the range of all partitions.
func everything() model.ReduceRange { return model.ReduceRange{Hi: 1 << 20} }

// drain reads a stream to its end and closes it; data is copied.
func drain(t testing.TB, o Options, rg model.ReduceRange, sources []model.MapSource) ([]Item, model.FetchCounters, error) {
	t.Helper()
	s, err := Open(t.Context(), o, rg, sources)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	var got []Item
	for {
		i, err := s.Next(t.Context())
		if err != nil {
			if again, err2 := s.Next(t.Context()); err2 == nil || err2.Error() != err.Error() {
				t.Errorf("the error does not stay: %v, then %v, %v", err, again, err2)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return got, s.Counters(), err
		}
		i.Data = bytes.Clone(i.Data)
		got = append(got, i)
	}
}

func compare(t testing.TB, got, want []Item) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if place(g) != place(w) || g.Rows != w.Rows || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("piece %d is %v with %d rows and %d bytes, want %v with %d rows and %d bytes",
				i, place(g), g.Rows, len(g.Data), place(w), w.Rows, len(w.Data))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d pieces, want %d", len(got), len(want))
	}
}

// wantFetchFailed checks that err names a source of the cluster completely.
func (c *cluster) wantFetchFailed(err error) *model.FetchFailed {
	c.t.Helper()
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonFetchFailed || f.Fetch == nil || f.Fetch.Cause == "" {
		c.t.Fatalf("want a FetchFailed, got %v", err)
	}
	i := slices.IndexFunc(c.sources, func(s model.MapSource) bool { return s.Attempt == f.Fetch.Attempt })
	if i < 0 || c.sources[i].Holder != f.Fetch.Holder {
		c.t.Fatalf("names nobody we know: %+v", f.Fetch)
	}
	return f.Fetch
}
