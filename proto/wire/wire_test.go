package wire_test

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/proto/wire"
	"github.com/sluice-engine/sluice/proto/wire/wiretest"
)

// roundTrip sends random values through their encoded form; whatever comes out must be what went in.
func roundTrip[V any, M any, P interface {
	*M
	proto.Message
}](t *testing.T, to func(V) P, from func(P) V) {
	t.Helper()
	name := reflect.TypeFor[V]().Name()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		gen := wiretest.Gen[V]()
		rapid.Check(t, func(t *rapid.T) {
			in := gen.Draw(t, "value")
			encoded, err := proto.Marshal(to(in))
			if err != nil {
				t.Fatal(err)
			}
			var m M
			if err := proto.Unmarshal(encoded, P(&m)); err != nil {
				t.Fatal(err)
			}
			out := from(&m)
			if in, out := wiretest.Normal(in), wiretest.Normal(out); !reflect.DeepEqual(in, out) {
				t.Fatalf("sent\n%+v\ngot\n%+v", in, out)
			}
		})
	})
	t.Run(name+" absent", func(t *testing.T) {
		var zero V
		if out := from(nil); !reflect.DeepEqual(out, zero) {
			t.Fatalf("an absent message reads as %+v", out)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	roundTrip(t, wire.TaskID, wire.FromTaskID)
	roundTrip(t, wire.AttemptID, wire.FromAttemptID)
	roundTrip(t, wire.Incarnation, wire.FromIncarnation)
	roundTrip(t, wire.PartitionKey, wire.FromPartitionKey)
	roundTrip(t, wire.Failure, wire.FromFailure)
	roundTrip(t, wire.ReduceRange, wire.FromReduceRange)
	roundTrip(t, wire.Segment, wire.FromSegment)
	roundTrip(t, wire.Assignment, wire.FromAssignment)
	roundTrip(t, wire.MapOutput, wire.FromMapOutput)
	roundTrip(t, wire.WriteOutput, wire.FromWriteOutput)
	roundTrip(t, wire.Progress, wire.FromProgress)
	roundTrip(t, wire.JobSpec, wire.FromJobSpec)
	roundTrip(t, wire.JobStatus, wire.FromJobStatus)
	roundTrip(t, wire.ExecutorStatus, wire.FromExecutorStatus)
}

// A value that was handed on must not change when its sender reuses a slice.
func TestBytesAndTextsAreCopied(t *testing.T) {
	conf := model.JobConf{InputSchema: []byte("schema")}
	m := wire.Assignment(model.Assignment{Conf: conf})
	conf.InputSchema[0] = 'X'
	if string(m.GetConf().GetInputSchema()) != "schema" {
		t.Fatal("the message shares the sender's bytes")
	}
	spec := model.JobSpec{Input: []string{"a"}}
	s := wire.JobSpec(spec)
	spec.Input[0] = "b"
	if s.GetInput()[0] != "a" {
		t.Fatal("the message shares the sender's slice")
	}
}
