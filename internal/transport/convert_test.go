package transport

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/coordinator/core"
	sessionv1 "github.com/sluice-engine/sluice/proto/gen/sluice/session/v1"
	"github.com/sluice-engine/sluice/proto/wire/wiretest"
)

// checkUp sends random messages of one kind up. The Session field is the shell's and must not travel.
func checkUp[V core.Event](t *testing.T) {
	t.Run(reflect.TypeFor[V]().Name(), func(t *testing.T) {
		gen := wiretest.Gen[V]()
		rapid.Check(t, func(t *rapid.T) {
			in := gen.Draw(t, "message")
			p, err := upToProto(in)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := proto.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var m sessionv1.OpenRequest
			if err := proto.Unmarshal(encoded, &m); err != nil {
				t.Fatal(err)
			}
			out, err := upFromProto(&m)
			if err != nil {
				t.Fatal(err)
			}
			if f := reflect.ValueOf(&in).Elem().FieldByName("Session"); f.IsValid() {
				f.SetZero()
			}
			want := wiretest.Normal[core.Event](in)
			if got := wiretest.Normal(out); !reflect.DeepEqual(want, got) {
				t.Fatalf("sent\n%+v\ngot\n%+v", want, got)
			}
		})
	})
}

func TestUpMessagesLoseNothing(t *testing.T) {
	checkUp[core.Register](t)
	checkUp[core.Heartbeat](t)
	checkUp[core.MapFinished](t)
	checkUp[core.WriteFinished](t)
	checkUp[core.AttemptFailed](t)
	checkUp[core.Leaving](t)
}

func checkDown[V core.Message](t *testing.T) {
	t.Run(reflect.TypeFor[V]().Name(), func(t *testing.T) {
		gen := wiretest.Gen[V]()
		rapid.Check(t, func(t *rapid.T) {
			in := gen.Draw(t, "message")
			p, err := downToProto(in)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := proto.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var m sessionv1.OpenResponse
			if err := proto.Unmarshal(encoded, &m); err != nil {
				t.Fatal(err)
			}
			out, err := downFromProto(&m)
			if err != nil {
				t.Fatal(err)
			}
			want := wiretest.Normal[core.Message](in)
			if got := wiretest.Normal(out); !reflect.DeepEqual(want, got) {
				t.Fatalf("sent\n%+v\ngot\n%+v", want, got)
			}
		})
	})
}

func TestDownMessagesLoseNothing(t *testing.T) {
	checkDown[core.Registered](t)
	checkDown[core.Assign](t)
	checkDown[core.Revoke](t)
	checkDown[core.ForgetJob](t)
	checkDown[core.Refused](t)
}

func TestUnknownMessagesAreErrors(t *testing.T) {
	if _, err := upFromProto(&sessionv1.OpenRequest{}); err == nil {
		t.Error("an empty message up was taken")
	}
	if _, err := downFromProto(&sessionv1.OpenResponse{}); err == nil {
		t.Error("an empty message down was taken")
	}
	if _, err := upToProto(core.Tick{}); err == nil {
		t.Error("a tick was sent up")
	}
}
