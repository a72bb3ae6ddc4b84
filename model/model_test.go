package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestAttemptIDTextRoundTrip(t *testing.T) {
	a := AttemptID{Task: TaskID{Job: "20260101-abc", Stage: 1, Index: 42}, Number: 3}
	got, err := ParseAttemptID(a.String())
	if err != nil || got != a {
		t.Fatalf("ParseAttemptID(%q) = %v, %v", a.String(), got, err)
	}
	for _, bad := range []string{"", "a.1.2", "a.1.2.3.4", "a.b.2.3", "../x.1.2.3", "a.-1.2.3", "a.1.2.99999999999"} {
		if _, err := ParseAttemptID(bad); err == nil {
			t.Errorf("ParseAttemptID(%q) must fail", bad)
		}
	}
}

func TestSizeReadsUnitsAndNumbers(t *testing.T) {
	for text, want := range map[string]Size{"128MiB": 128 << 20, "64MB": 64e6, "1000": 1000, "1.5 GiB": 3 << 29} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	var s Size
	if err := json.Unmarshal([]byte(`"2KiB"`), &s); err != nil || s != 2048 {
		t.Errorf("unmarshal text: %d, %v", s, err)
	}
	if err := json.Unmarshal([]byte(`-1`), &s); err == nil {
		t.Error("a negative size must be refused")
	}
	if _, err := ParseSize("12 parsecs"); err == nil {
		t.Error("a bad unit must be refused")
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	s := JobSpec{PartitionBy: []string{"a", "a"}, N: -1, Mode: "append"}
	s.Normalize()
	err := s.Validate()
	var se *SpecError
	if !errors.As(err, &se) {
		t.Fatalf("want a SpecError, got %v", err)
	}
	joined := err.(interface{ Unwrap() []error }).Unwrap()
	fields := map[string]bool{}
	for _, e := range joined {
		var one *SpecError
		if !errors.As(e, &one) {
			t.Fatalf("want a SpecError, got %v", e)
		}
		fields[one.Field] = true
	}
	for _, f := range []string{"input", "out", "partition_by", "n", "mode"} {
		if !fields[f] {
			t.Errorf("no error for %s in %v", f, err)
		}
	}
}

func TestPartitioningFollowsTheFlags(t *testing.T) {
	for want, s := range map[string]JobSpec{
		"value(type)":                       {PartitionBy: []string{"type"}},
		"hash(16, device_id) x value(type)": {By: []string{"device_id"}, N: 16, PartitionBy: []string{"type"}},
		"hash(200, a, b)":                   {By: []string{"a", "b"}},
		"round_robin(4)":                    {N: 4},
		"none x value(type)":                {NoShuffle: true, PartitionBy: []string{"type"}},
	} {
		s.Normalize()
		if got := s.Partitioning().String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFailureKeepsItsTypeThroughWrapping(t *testing.T) {
	f := Failf(ReasonInput, "reading %s: %w", "x.parquet", io.ErrUnexpectedEOF)
	wrapped := fmt.Errorf("task 3: %w", f)
	got := AsFailure(wrapped, ReasonInternal)
	if got.Reason != ReasonInput || !errors.Is(got, io.ErrUnexpectedEOF) || got.Message != "task 3: reading x.parquet: unexpected EOF" {
		t.Fatalf("got %+v", got)
	}
	if AsFailure(io.EOF, ReasonIO).Reason != ReasonIO {
		t.Error("an untyped error gets the given reason")
	}
}

func TestContentHashAdds(t *testing.T) {
	var sum ContentHash
	a := ContentHash{Rows: 1, RowSum: 10, Columns: []ColumnHash{{"x", 5}}}
	sum.Add(a)
	sum.Add(ContentHash{Rows: 2, RowSum: ^HashSum(0), Columns: []ColumnHash{{"x", 7}}})
	if sum.Rows != 3 || sum.RowSum != 9 || sum.Columns[0].Sum != 12 || a.Columns[0].Sum != 5 {
		t.Fatalf("got %+v, %+v", sum, a)
	}
}
