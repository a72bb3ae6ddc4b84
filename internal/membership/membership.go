// Package membership says who is there and where the coordinator is, by gossip (memberlist).
//
// Gossip never loses an executor by itself: an Event is a reason for the coordinator to send no new
// tasks there and to look at the executor's own stream.
package membership

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Role says what a member is.
type Role string

// The two kinds of process.
const (
	RoleCoordinator Role = "coordinator"
	RoleExecutor    Role = "executor"
)

// Meta is what every member tells about itself. It must stay far below memberlist's limit of 512
// bytes, above which it panics; Start checks.
type Meta struct {
	Role Role   `json:"r"`
	Addr string `json:"a"` // gRPC address, host:port
}

// Event says that a member came, or that gossip has given it up.
type Event struct {
	Name string
	Meta Meta
	Gone bool
}

// Config of one member.
type Config struct {
	Name      string // unique in the cluster; the executor's id
	BindAddr  string // IP to bind TCP and UDP to; where --listen binds
	BindPort  int    // 0 = any free port
	Advertise string // IP to be reached at; "" = BindAddr
	Token     string // the traffic's key is derived from it; "" = unencrypted
	Meta      Meta
	Log       *slog.Logger
}

// maxQueued limits the events that wait; beyond it the newest about a member replaces older ones.
const maxQueued = 1024

// leaveTimeout is time for the four retransmissions of a goodbye at one every 200 ms.
const leaveTimeout = time.Second

// Members is this process's view of the cluster.
type Members struct {
	list   *memberlist.Memberlist
	meta   []byte
	log    *slog.Logger
	mu     sync.Mutex // guards the fields below; never held during I/O or a callback into memberlist
	nodes  map[string]Meta
	queue  []Event
	closed bool
	wake   chan struct{} // capacity 1: there may be something in queue
}

// Start binds and begins to gossip with nobody; Join finds the others.
func Start(c Config) (*Members, error) {
	meta, err := json.Marshal(c.Meta)
	if err != nil {
		return nil, err
	}
	if len(meta) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("membership: address %q is too long to gossip", c.Meta.Addr)
	}
	m := &Members{meta: meta, log: c.Log, nodes: map[string]Meta{}, wake: make(chan struct{}, 1)}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = c.Name
	cfg.BindAddr, cfg.BindPort = c.BindAddr, c.BindPort
	cfg.AdvertiseAddr = c.Advertise
	cfg.AdvertisePort = c.BindPort
	cfg.Delegate, cfg.Events = (*delegate)(m), (*delegate)(m)
	cfg.LogOutput = io.Discard
	if c.Log != nil {
		cfg.LogOutput = nil
		cfg.Logger = log.New(logWriter{c.Log}, "", 0)
	}
	if c.Token != "" {
		key := sha256.Sum256([]byte("sluice gossip v1\x00" + c.Token))
		cfg.SecretKey = key[:]
	}
	if m.list, err = memberlist.Create(cfg); err != nil {
		return nil, fmt.Errorf("membership on %s: %w", net.JoinHostPort(c.BindAddr, strconv.Itoa(c.BindPort)), err)
	}
	return m, nil
}

// Addr is where others reach this member's gossip, host:port.
func (m *Members) Addr() string { return m.list.LocalNode().Address() }

// Join contacts members at host:port; one that answers is enough.
func (m *Members) Join(addrs ...string) error {
	if _, err := m.list.Join(addrs); err != nil {
		return fmt.Errorf("joining the gossip at %s: %w", strings.Join(addrs, ", "), err)
	}
	return nil
}

// Leader returns the gRPC address of a coordinator that gossip knows.
func (m *Members) Leader() (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var best string
	for name, meta := range m.nodes {
		if meta.Role == RoleCoordinator && (best == "" || name < best) {
			best = name
		}
	}
	return m.nodes[best].Addr, best != ""
}

// Events returns what happened since the last call; wait on Wake before calling.
func (m *Members) Events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

// Wake is readable when Events may have something.
func (m *Members) Wake() <-chan struct{} { return m.wake }

// Close leaves the cluster, telling others, and stops. memberlist does not wait for its goroutines,
// so late callbacks are ignored.
func (m *Members) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	// A goodbye that nobody took in time is no failure: the others find out by probing.
	if err := m.list.Leave(leaveTimeout); err != nil && m.log != nil {
		m.log.Debug("leaving the gossip", "error", err)
	}
	return m.list.Shutdown()
}

// note records a change of a member. It runs under memberlist's node lock: it copies and enqueues.
func (m *Members) note(n *memberlist.Node, gone bool) {
	var meta Meta
	if json.Unmarshal(n.Meta, &meta) != nil {
		return // not one of ours
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	if gone {
		delete(m.nodes, n.Name)
	} else {
		m.nodes[n.Name] = meta
	}
	e := Event{Name: n.Name, Meta: meta, Gone: gone}
	if len(m.queue) >= maxQueued {
		for i := range m.queue {
			if m.queue[i].Name == e.Name {
				m.queue[i] = e
				return
			}
		}
		m.queue = m.queue[1:]
	}
	m.queue = append(m.queue, e)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// delegate is what memberlist calls.
type delegate Members

func (d *delegate) NodeMeta(int) []byte             { return d.meta }
func (d *delegate) NotifyMsg([]byte)                {}
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}
func (d *delegate) NotifyJoin(n *memberlist.Node)   { (*Members)(d).note(n, false) }
func (d *delegate) NotifyUpdate(n *memberlist.Node) { (*Members)(d).note(n, false) }
func (d *delegate) NotifyLeave(n *memberlist.Node)  { (*Members)(d).note(n, true) }

// logWriter passes memberlist's log lines on, at debug level: they are for people who look for them.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(p)), "from", "memberlist")
	return len(p), nil
}
