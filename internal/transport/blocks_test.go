package transport

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/fetch"
	"github.com/sluice-engine/sluice/shuffle/store"
)

// Blocks go over our servers and our connections, and only to who has the token.
func TestBlocksOverOurConnections(t *testing.T) {
	attempt := model.AttemptID{Task: model.TaskID{Job: "job-1"}}
	w, err := store.NewWriter(vfs.OS, t.TempDir(), attempt, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(model.PartitionKey{Path: "type=a"}, []byte("a piece"), 3); err != nil {
		t.Fatal(err)
	}
	seg, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, ServerOptions{Token: testToken}, func(s *grpc.Server) {
		fetch.NewServer(vfs.OS, func(a model.AttemptID) ([]model.Segment, bool) {
			return []model.Segment{seg}, a == attempt
		}).Register(s)
	})
	sources := []model.MapSource{{Attempt: attempt, Addr: addr, Segments: []model.Segment{seg}}}
	read := func(token string) (string, error) {
		pool := NewPool(DialOptions{Token: token})
		s, err := fetch.Open(t.Context(), fetch.Options{FS: vfs.OS, Dial: pool.Dial}, model.ReduceRange{Hi: 1}, sources)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(s.Close(), pool.Close()); err != nil {
				t.Error(err)
			}
		}()
		var got string
		for {
			i, err := s.Next(t.Context())
			if errors.Is(err, io.EOF) {
				return got, nil
			}
			if err != nil {
				return got, err
			}
			got += string(i.Data)
		}
	}
	if got, err := read(testToken); got != "a piece" || err != nil {
		t.Errorf("with the token: %q, %v", got, err)
	}
	for _, token := range []string{"", "another-token-of-some-length"} {
		var f *model.Failure
		if got, err := read(token); got != "" || !errors.As(err, &f) || f.Reason != model.ReasonUser {
			t.Errorf("token %q: %q, %v", token, got, err)
		}
	}
}
