// Package wiretest makes random values of the model's types and compares them as the wire does. It
// is for tests: a field that somebody adds to the model and forgets on the wire is found by it.
package wiretest

import (
	"reflect"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/model"
)

// Gen makes values of V with every field set at random: texts that are not UTF-8, nil and empty
// slices, zero times, failures with and without a fetch part.
func Gen[V any]() *rapid.Generator[V] { return rapid.MakeCustom[V](config()) }

func config() rapid.MakeConfig {
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string {
		return string(b)
	}))
	moment := rapid.Map(rapid.Int64Range(timestamppb.New(time.Time{}).Seconds, 253402300799), func(s int64) time.Time {
		return time.Unix(s, s&0x3fffffff%1e9).UTC()
	})
	attempt := rapid.Make[model.AttemptID]()
	fetch := rapid.Custom(func(t *rapid.T) *model.FetchFailed {
		return &model.FetchFailed{
			Holder:  model.Incarnation{Executor: model.ExecutorID(text.Draw(t, "executor")), Number: rapid.Uint64().Draw(t, "n")},
			Attempt: attempt.Draw(t, "attempt"), Cause: text.Draw(t, "cause"),
		}
	})
	failure := rapid.Custom(func(t *rapid.T) model.Failure {
		return model.Failure{Reason: model.Reason(text.Draw(t, "reason")), Message: text.Draw(t, "message"),
			Fetch: rapid.OneOf(rapid.Just[*model.FetchFailed](nil), fetch).Draw(t, "fetch")}
	})
	return rapid.MakeConfig{
		Kinds: map[reflect.Kind]*rapid.Generator[any]{reflect.String: text.AsAny()},
		Types: map[reflect.Type]*rapid.Generator[any]{
			reflect.TypeFor[time.Time]():     rapid.OneOf(rapid.Just(time.Time{}), moment).AsAny(),
			reflect.TypeFor[model.Failure](): failure.AsAny(),
			// A model.Size is an Int64 with methods; the range of the wire is its own.
			reflect.TypeFor[model.Size](): rapid.Map(rapid.Int64(), func(n int64) model.Size { return model.Size(n) }).AsAny(),
		},
	}
}

// Normal returns v with every empty slice made nil: the one difference that the wire does not keep.
// v itself may be changed.
func Normal[V any](v V) V {
	normalise(reflect.ValueOf(&v).Elem())
	return v
}

func normalise(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			normalise(v.Elem())
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		inner := reflect.New(v.Elem().Type()).Elem()
		inner.Set(v.Elem())
		normalise(inner)
		v.Set(inner)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				normalise(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 && v.CanSet() {
			v.SetZero()
		}
		for i := range v.Len() {
			normalise(v.Index(i))
		}
	}
}
