package nearest

import "testing"

func TestOf(t *testing.T) {
	candidates := []string{"partition_by", "by", "n", "out", "target_file_size", "split_size"}
	tests := map[string]string{
		"partion_by":       "partition_by",
		"partitionby":      "partition_by",
		"Partition_By":     "partition_by",
		"partition":        "partition_by", // its beginning
		"traget_file_size": "target_file_size",
		"otu":              "out", // two letters swapped
		"outt":             "out",
		"elephant":         "",
		"":                 "",
		"xyz":              "",
	}
	for word, want := range tests {
		got, ok := Of(word, candidates)
		if got != want && ok || ok != (want != "") {
			t.Errorf("Of(%q) = %q, %v; want %q", word, got, ok, want)
		}
	}
}
