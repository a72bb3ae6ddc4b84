// Package nearest finds what somebody meant to write.
package nearest

import "strings"

// Of returns the candidate that is nearest to a misspelled word, if one is near enough to be worth a
// question: at most a third of its letters differ, or the word is its beginning.
func Of(word string, candidates []string) (string, bool) {
	lower := strings.ToLower(word)
	best, bestDistance := "", len(word)+1
	for _, c := range candidates {
		d := distance(lower, strings.ToLower(c))
		if len(lower) >= 3 && strings.HasPrefix(strings.ToLower(c), lower) {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best, best != "" && bestDistance <= max(1, max(len(word), len(best))/3)
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make b
// of a (optimal string alignment).
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
