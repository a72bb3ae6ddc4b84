package membership

import (
	"context"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, name string, role Role, token string) *Members {
	t.Helper()
	m, err := Start(Config{Name: name, BindAddr: "127.0.0.1", Token: token, Meta: Meta{Role: role, Addr: name + ":1"}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// await waits until cond holds, woken by the member's own events.
func await(t *testing.T, m *Members, what string, cond func(Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		for _, e := range m.Events() {
			if cond(e) {
				return
			}
		}
		select {
		case <-m.Wake():
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestExecutorFindsTheCoordinatorAndIsMissed(t *testing.T) {
	c := start(t, "c", RoleCoordinator, "secret-secret-secret")
	defer c.Close()
	e := start(t, "e", RoleExecutor, "secret-secret-secret")
	if err := e.Join(c.Addr()); err != nil {
		t.Fatal(err)
	}
	if addr, ok := e.Leader(); !ok || addr != "c:1" {
		t.Errorf("leader %q, %v", addr, ok)
	}
	await(t, c, "the executor", func(ev Event) bool { return ev.Name == "e" && !ev.Gone && ev.Meta.Addr == "e:1" })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the executor's end", func(ev Event) bool { return ev.Name == "e" && ev.Gone })
}

func TestAnotherTokenCannotJoin(t *testing.T) {
	c := start(t, "c", RoleCoordinator, "secret-secret-secret")
	defer c.Close()
	e := start(t, "e", RoleExecutor, "another-another-another")
	defer e.Close()
	if err := e.Join(c.Addr()); err == nil {
		t.Fatal("joined with the wrong token")
	}
	if _, ok := e.Leader(); ok {
		t.Error("saw the coordinator with the wrong token")
	}
}

func TestMetaAboveTheLimitIsRefused(t *testing.T) {
	_, err := Start(Config{Name: "x", BindAddr: "127.0.0.1", Meta: Meta{Addr: strings.Repeat("x", 600)}})
	if err == nil {
		t.Fatal("an address of 600 bytes must be refused")
	}
}
