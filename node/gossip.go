package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/sluice-engine/sluice/internal/membership"
)

// gossipConfig says how a process gossips: where it listens for gRPC, on a port of its own.
type gossipConfig struct {
	name  string
	role  membership.Role
	lis   net.Listener
	addr  string // gRPC address as others reach it; "" = the listener's
	token string
	log   *slog.Logger
}

// startGossip binds gossip where the process listens.
func startGossip(c gossipConfig) (*membership.Members, error) {
	bound, err := boundTo(c.lis)
	if err != nil {
		return nil, err
	}
	advertise := bound.IP
	if advertise.IsUnspecified() {
		advertise = ownIP()
	}
	addr := c.addr
	if addr == "" {
		if addr, err = advertisedAddr(c.lis, ""); err != nil {
			return nil, err
		}
	}
	return membership.Start(membership.Config{
		Name: c.name, BindAddr: bound.IP.String(), Advertise: advertise.String(), Token: c.token,
		Meta: membership.Meta{Role: c.role, Addr: addr}, Log: c.log,
	})
}

// advertisedAddr is host:port by which others reach a listener: the name that was given, else the
// address that it is bound to, else, when it is bound to all, this host's own.
func advertisedAddr(lis net.Listener, advertise string) (string, error) {
	bound, err := boundTo(lis)
	if err != nil {
		return "", err
	}
	host := advertise
	if host == "" {
		host = bound.IP.String()
		if bound.IP.IsUnspecified() {
			host = ownIP().String()
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(bound.Port)), nil
}

// boundTo is the address that a listener is bound to. Others reach a process by TCP alone.
func boundTo(lis net.Listener) (*net.TCPAddr, error) {
	addr, ok := lis.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("listening on %s, which is not a TCP address: gossip cannot advertise it", lis.Addr())
	}
	return addr, nil
}

// ownIP is an address by which other hosts may reach this one: what its host name resolves to, else
// the first address that is not loopback, else loopback.
func ownIP() net.IP {
	if host, err := os.Hostname(); err == nil {
		if ips, err := net.DefaultResolver.LookupIP(context.Background(), "ip", host); err == nil {
			for _, ip := range ips {
				if !ip.IsLoopback() {
					return ip
				}
			}
		}
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
				return n.IP
			}
		}
	}
	return net.IPv4(127, 0, 0, 1)
}
