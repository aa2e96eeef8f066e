package rule

import "strings"

// nearest returns the candidate that a slip of the finger would turn into word:
// at most a third of its letters wrong, case ignored. Of equals the first wins.
func nearest(word string, candidates []string) (string, bool) {
	if len(word) > 64 {
		return "", false
	}
	word = strings.ToLower(word)
	best, bestAt := max(1, len(word)/3)+1, -1
	for i, c := range candidates {
		if len(c)-len(word) >= best || len(word)-len(c) >= best {
			continue
		}
		if d := slips(word, strings.ToLower(c)); d < best {
			best, bestAt = d, i
		}
	}
	if bestAt < 0 {
		return "", false
	}
	return candidates[bestAt], true
}

// slips counts the letters to insert, drop, change or swap with a neighbour to
// get from a to b.
func slips(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
