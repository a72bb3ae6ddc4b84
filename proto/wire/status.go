package wire

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-engine/sluice/model"
	modelv1 "github.com/sluice-engine/sluice/proto/gen/sluice/model/v1"
)

// Status makes a gRPC status with a text that names files and values: unlike our own messages, a
// status can only carry UTF-8, and gRPC drops the details of one that does not.
func Status(code codes.Code, text string) *status.Status {
	return status.New(code, strings.ToValidUTF8(text, "\uFFFD"))
}

// FailureStatus makes an error that carries the whole failure as its detail.
func FailureStatus(code codes.Code, f model.Failure) error {
	st := Status(code, f.Message)
	detailed, err := st.WithDetails(Failure(f))
	if err != nil {
		return st.Err() // only for codes.OK, which no failure has
	}
	return detailed.Err()
}

// StatusFailure returns the failure that FailureStatus put into a status.
func StatusFailure(st *status.Status) (model.Failure, bool) {
	for _, d := range st.Details() {
		if f, ok := d.(*modelv1.Failure); ok {
			return FromFailure(f), true
		}
	}
	return model.Failure{}, false
}
