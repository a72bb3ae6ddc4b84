package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	blocksv1 "github.com/sluice-engine/sluice/proto/gen/sluice/blocks/v1"
)

const testToken = "correct-horse-battery-staple"

// registerEverything serves every service that Sluice has.
func registerEverything(s *grpc.Server) {
	b := backend{left: make(chan struct{}, 64), session: func(CoordinatorSession) {}}
	RegisterSessions(s, b)
	RegisterJobs(s, &fakeJobs{})
	RegisterHealth(s)
	blocksv1.RegisterBlockServiceServer(s, blocksv1.UnimplementedBlockServiceServer{})
}

// callAny calls any method as a stream with one empty message each way and returns how it ended.
func callAny(ctx context.Context, conn *grpc.ClientConn, method string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
	}
}

// Every method of every service that the server knows refuses a missing and a wrong token, found by
// walking the service descriptors, so that a service added later is tested too.
func TestEveryRPCWantsTheToken(t *testing.T) {
	var methods []string
	addr := serve(t, ServerOptions{Token: testToken}, func(s *grpc.Server) {
		registerEverything(s)
		for name, info := range s.GetServiceInfo() {
			for _, m := range info.Methods {
				methods = append(methods, "/"+name+"/"+m.Name)
			}
		}
	})
	if len(methods) < 10 {
		t.Fatalf("only %d methods: %v", len(methods), methods)
	}
	for _, c := range []struct {
		name, token string
		refused     bool
	}{
		{"none", "", true},
		{"wrong", "wrong-horse-battery-staple", true},
		{"prefix", testToken[:len(testToken)-1], true},
		{"longer", testToken + "x", true},
		{"right", testToken, false},
	} {
		conn := dial(t, addr, DialOptions{Token: c.token})
		for _, m := range methods {
			if strings.HasSuffix(m, "/Watch") && strings.Contains(m, "health") && !c.refused {
				continue // never ends by itself
			}
			err := callAny(t.Context(), conn, m)
			if got := status.Code(err) == codes.Unauthenticated; got != c.refused {
				t.Errorf("token %s, %s: %v", c.name, m, err)
			}
		}
	}
}

func TestNoTokenAsksNobody(t *testing.T) {
	addr := serve(t, ServerOptions{}, registerEverything)
	d, err := Discover(t.Context(), dial(t, addr, DialOptions{}))
	if err != nil || d != (Discovery{ClusterID: "c1", GossipAddr: ":7401", Version: "test"}) {
		t.Fatalf("got %+v, %v", d, err)
	}
}

func TestRefusedTokenSaysWhatToDo(t *testing.T) {
	addr := serve(t, ServerOptions{Token: testToken}, registerEverything)
	_, err := NewJobsClient(dial(t, addr, DialOptions{})).List(t.Context())
	if !errors.Is(err, ErrUnauthenticated) || !strings.Contains(err.Error(), "--token-file") {
		t.Fatalf("got %v", err)
	}
}

func TestCheckListen(t *testing.T) {
	for _, c := range []struct {
		addr, token string
		insecure    bool
		want        string // part of the error, "" for none
	}{
		{addr: "127.0.0.1:7400"},
		{addr: "127.8.8.8:7400"},
		{addr: "[::1]:0"},
		{addr: "localhost:7400"},
		{addr: ":7400"}, // loopback unless told otherwise
		{addr: "0.0.0.0:7400", want: "--token-file"},
		{addr: "[::]:7400", want: "--token-file"},
		{addr: "192.0.2.7:7400", want: "192.0.2.7:7400 can be reached"},
		{addr: "0.0.0.0:7400", token: testToken},
		{addr: "0.0.0.0:7400", insecure: true},
		{addr: "7400", want: "want HOST:PORT"},
		{addr: "127.0.0.1", want: "want HOST:PORT"},
	} {
		err := CheckListen(c.addr, c.token, c.insecure)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: got %v", c, err)
		}
	}
	if _, err := Listen("0.0.0.0:0", "", false); err == nil {
		t.Error("Listen opened what CheckListen refuses")
	}
}

func TestLoadToken(t *testing.T) {
	t.Setenv(TokenEnv, "")
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	load := func(file string) (string, error) { return LoadToken(vfs.OS, file, log) }

	if got, err := load(""); got != "" || err != nil {
		t.Errorf("nothing given: %q, %v", got, err)
	}
	if got, err := load(file("good", "\n "+testToken+"\n", 0o600)); got != testToken || err != nil {
		t.Errorf("a file: %q, %v", got, err)
	}
	if logged.Len() > 0 {
		t.Errorf("a private file was warned of: %s", &logged)
	}
	if got, err := load(file("open", testToken, 0o644)); got != testToken || err != nil || !strings.Contains(logged.String(), "everybody") {
		t.Errorf("a readable file: %q, %v, log %q", got, err, &logged)
	}
	for name, content := range map[string]string{
		"empty": "\n", "short": "fifteen-letters", "space": "two words are not a token",
		"control": testToken + "\x00x", "long": strings.Repeat("x", 5000),
	} {
		if got, err := load(file(name, content, 0o600)); err == nil {
			t.Errorf("%s: took %q", name, got)
		}
	}
	if _, err := load(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	t.Setenv(TokenEnv, testToken+"-env")
	if got, err := load(""); got != testToken+"-env" || err != nil {
		t.Errorf("the environment: %q, %v", got, err)
	}
	if got, err := load(filepath.Join(dir, "good")); got != testToken || err != nil {
		t.Errorf("a file and the environment: %q, %v", got, err)
	}
	t.Setenv(TokenEnv, "short")
	if _, err := load(""); err == nil || !strings.Contains(err.Error(), TokenEnv) {
		t.Errorf("a short token in the environment: %v", err)
	}
}

func TestHostIDIsStable(t *testing.T) {
	a, err := HostID()
	if err != nil {
		t.Fatal(err)
	}
	b, err := HostID()
	if err != nil || a != b || len(a) != 24 {
		t.Fatalf("got %q, then %q, %v", a, b, err)
	}
}

func TestPanicsOfHandlersStayInTheirRPC(t *testing.T) {
	jobs := &fakeJobs{submit: func(model.JobSpec) (model.JobID, error) { panic("a mistake") }}
	log := slog.New(slog.DiscardHandler)
	addr := serve(t, ServerOptions{Log: log}, func(s *grpc.Server) {
		RegisterJobs(s, jobs)
		RegisterSessions(s, backend{left: make(chan struct{}, 1), session: func(CoordinatorSession) { panic("another") }})
	})
	conn := dial(t, addr, DialOptions{})
	if _, err := NewJobsClient(conn).Submit(t.Context(), model.JobSpec{}); err == nil || !strings.Contains(err.Error(), "a mistake") {
		t.Errorf("a panic in a unary RPC: %v", err)
	}
	s := open(t, t.Context(), NewSessionDialer(conn))
	if _, err := s.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a panic in a session: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewJobsClient(conn).List(t.Context()); err != nil {
		t.Errorf("the server did not survive: %v", err)
	}
}
