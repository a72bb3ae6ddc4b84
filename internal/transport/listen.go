package transport

import (
	"context"
	"fmt"
	"net"
)

// ListenAddr puts loopback where an address has no host: everything binds to loopback unless told
// otherwise, and all interfaces are asked for as 0.0.0.0 or [::].
func ListenAddr(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--listen %q: want HOST:PORT or :PORT: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// CheckListen refuses a listener that others can reach and that asks nobody for a token, unless
// insecure says that this is meant. A name counts as loopback when all its addresses are.
func CheckListen(addr, token string, insecure bool) error {
	addr, err := ListenAddr(addr)
	if err != nil {
		return err
	}
	if token != "" || insecure {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ips, err := lookup(context.Background(), host)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", addr, err)
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return fmt.Errorf("--listen %s can be reached from other machines: give --token-file (or %s), "+
				"or --insecure if everybody who can connect may run jobs and read their data", addr, TokenEnv)
		}
	}
	return nil
}

// Listen is CheckListen and net.Listen in one, so that no listener is opened unchecked.
func Listen(addr, token string, insecure bool) (net.Listener, error) {
	if err := CheckListen(addr, token, insecure); err != nil {
		return nil, err
	}
	addr, err := ListenAddr(addr)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", addr)
}

// lookup returns all addresses of a name or a literal.
func lookup(ctx context.Context, host string) ([]net.IP, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IP{ip}, nil
	}
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	ips := make([]net.IP, len(addrs))
	for i, a := range addrs {
		ips[i] = a.IP
	}
	return ips, nil
}
