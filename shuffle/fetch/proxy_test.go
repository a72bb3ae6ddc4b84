package fetch

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// proxy is a TCP connection to a block server that harms what comes back.
type proxy struct {
	t      *testing.T
	server string
	lis    net.Listener
	wg     sync.WaitGroup
	mu     sync.Mutex // guards conns
	conns  []net.Conn
	// harm may change bytes on their way to the client; false closes the connection before them.
	harm func(b []byte) bool
}

func (p *proxy) start(server string) string {
	var err error
	if p.lis, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		p.t.Fatal(err)
	}
	p.server = server
	p.wg.Add(1)
	go p.accept()
	p.t.Cleanup(func() {
		if err := p.lis.Close(); err != nil {
			p.t.Error(err)
		}
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close() // most are closed already
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p.lis.Addr().String()
}

func (p *proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.lis.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Add(2)
		go p.copy(server, client, func([]byte) bool { return true })
		go p.copy(client, server, p.harm)
	}
}

func (p *proxy) copy(to, from net.Conn, harm func([]byte) bool) {
	defer p.wg.Done()
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !harm(buf[:n]) {
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// marked is a cluster with one large piece of which any few bytes can be recognised on the wire.
func marked(t *testing.T) (*cluster, []byte) {
	marker := bytes.Repeat([]byte("marker! "), 4)
	c := newCluster(t, shape{maps: 2, holders: 1, segments: 1, buckets: 6, values: 1, pieces: 2,
		size: func(r *rand.Rand) int { return 1 + r.IntN(2000) }}, 21)
	attempt := model.AttemptID{Task: model.TaskID{Job: "job-1", Index: 2}}
	c.sources = append(c.sources, model.MapSource{Attempt: attempt, HostID: testHost, Addr: "holder-0",
		Holder: model.Incarnation{Executor: "e0", Number: 7}})
	src := &c.sources[2]
	src.Segments = []model.Segment{c.markedSegment(attempt, bytes.Repeat(marker, 40_000))}
	c.held[attempt] = src.Segments
	slices.SortFunc(c.want, func(a, b Item) int { return place(a).compare(place(b)) })
	return c, marker
}

// markedSegment holds data between two small pieces.
func (c *cluster) markedSegment(attempt model.AttemptID, data []byte) model.Segment {
	c.t.Helper()
	w, err := store.NewWriter(vfs.OS, c.dir, attempt, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	for i, d := range [][]byte{{1}, data, {2}} {
		key := model.PartitionKey{Bucket: uint32(i + 2)}
		if err := w.Append(key, d, 5); err != nil {
			c.t.Fatal(err)
		}
		c.want = append(c.want, Item{Key: key, Source: attempt.Task.Index, Rows: 5, Data: d})
	}
	seg, err := w.Seal()
	if err != nil {
		c.t.Fatal(err)
	}
	return seg
}

// A byte flipped on the wire is found; asking again once helps, or the fetch has failed.
func TestByteFlippedInFlight(t *testing.T) {
	for name, limit := range map[string]int64{"never": 0, "once": 1, "always": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			c, marker := marked(t)
			var flips atomic.Int64
			p := &proxy{t: t, harm: func(b []byte) bool {
				if i := bytes.Index(b, marker); i >= 0 && flips.Load() < limit {
					b[i+3] ^= 4
					flips.Add(1)
				}
				return true
			}}
			c.serve(vfs.OS, p.start)
			o := c.options()
			o.Remote = true
			got, n, err := drain(t, o, everything(), c.sources)
			if limit <= 1 {
				if err != nil || n.Refetches != limit || flips.Load() != limit {
					t.Fatalf("%v, %+v, flipped %d", err, n, flips.Load())
				}
				compare(t, got, c.expect(everything()))
				return
			}
			if f := c.wantFetchFailed(err); f.Attempt != c.sources[2].Attempt || n.Refetches != 1 {
				t.Fatalf("blames %+v, %+v", f, n)
			}
			compare(t, got, c.expect(everything())[:len(got)])
		})
	}
}

// The connection is cut after ever more bytes. Whatever the place, the end is never clean: either
// everything arrives on a later try, or the fetch has failed.
func TestConnectionCut(t *testing.T) {
	for _, every := range []bool{false, true} {
		for _, after := range []int64{0, 1, 50, 500, 5_000, 100_000, 400_000} {
			c, _ := marked(t)
			var passed, cuts atomic.Int64
			p := &proxy{t: t, harm: func(b []byte) bool {
				if passed.Add(int64(len(b))) > after && (every || cuts.Load() == 0) {
					cuts.Add(1)
					return false
				}
				return true
			}}
			c.serve(vfs.OS, p.start)
			o := c.options()
			o.Remote = true
			if !every { // a busy machine may need a while to connect again
				o.Backoff = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}
			}
			got, _, err := drain(t, o, everything(), c.sources)
			switch {
			case cuts.Load() == 0:
				t.Fatalf("nothing was cut after %d bytes", after)
			case every:
				c.wantFetchFailed(err)
				compare(t, got, c.expect(everything())[:len(got)])
			case err != nil:
				var f *model.Failure
				t.Fatalf("one cut after %d bytes: %v (typed: %v)", after, err, errors.As(err, &f))
			default:
				compare(t, got, c.expect(everything()))
			}
		}
	}
}
