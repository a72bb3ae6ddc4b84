package partition

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/model"
)

// fieldOf finds a top-level column by its exact name.
func fieldOf(sc *schema.Schema, name string) (int, error) {
	root := sc.Root()
	found := -1
	for i := range root.NumFields() {
		if root.Field(i).Name() != name {
			continue
		}
		if found >= 0 {
			return 0, model.Failf(model.ReasonUser, "the input has two columns named %q: it is not clear which to partition by", name)
		}
		found = i
	}
	if found >= 0 {
		return found, nil
	}
	near := nearest(root, name)
	if len(near) == 0 {
		return 0, model.Failf(model.ReasonUser, "the input has no column %q", name)
	}
	return 0, model.Failf(model.ReasonUser, "the input has no column %q: did you mean %s?", name, strings.Join(near, " or "))
}

// maxSuggestions is how many names an error offers.
const maxSuggestions = 3

// nearest returns the quoted names of the columns with the smallest edit distance to name, ignoring case;
// in the schema's order.
func nearest(root *schema.GroupNode, name string) []string {
	best := -1
	var out []string
	for i := range root.NumFields() {
		candidate := root.Field(i).Name()
		d := editDistance(strings.ToLower(name), strings.ToLower(candidate))
		if best < 0 || d < best {
			best, out = d, out[:0]
		}
		if quoted := "\"" + candidate + "\""; d == best && !slices.Contains(out, quoted) && len(out) < maxSuggestions {
			out = append(out, quoted)
		}
	}
	return out
}

// editDistance counts the characters to insert, delete, replace or swap with their neighbour (Damerau's
// optimal string alignment) to turn a into b.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, above, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		above[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(y)]
}
