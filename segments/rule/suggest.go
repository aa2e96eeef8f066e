package rule

import (
	"slices"
	"strings"
)

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

// akin returns the candidates that share the most words with name, as
// card_expires_at does with card_expiry; none when more than four do.
func akin(name string, candidates []string) []string {
	var found []string
	best := 1
	for _, c := range candidates {
		switch score := kinship(strings.Split(strings.ToLower(name), "_"), strings.Split(c, "_")); {
		case score > best:
			best, found = score, []string{c}
		case score == best && found != nil:
			found = append(found, c)
		}
	}
	if len(found) > 4 {
		return nil
	}
	return found
}

// timeWords end the names of times; any stands for another.
var timeWords = []string{"at", "date", "on", "day", "time"}

// kinship rates what two names have in common: a word first of all, then how
// little the other one says besides. It is at most 1 when that is nothing, or
// only that both are times.
func kinship(name, other []string) int {
	shared, times, rest := 0, 0, 0
	for _, w := range other {
		switch {
		case slices.Contains(timeWords, w):
			if slices.ContainsFunc(name, func(n string) bool { return slices.Contains(timeWords, n) }) {
				times = 1
			}
		case slices.ContainsFunc(name, func(n string) bool { return sameStem(n, w) }):
			shared++
		default:
			rest++
		}
	}
	if shared == 0 {
		return times
	}
	return 20*shared + 10*times - min(rest, 9)
}

// covers says whether every word of name is one of other's.
func covers(other, name string) bool {
	for _, n := range strings.Split(strings.ToLower(name), "_") {
		if !slices.ContainsFunc(strings.Split(other, "_"), func(w string) bool {
			return sameStem(n, w) || slices.Contains(timeWords, n) && slices.Contains(timeWords, w)
		}) {
			return false
		}
	}
	return true
}

// sameStem says whether two words begin alike and differ only at the end, as
// expiry and expires do, or trial and trials.
func sameStem(a, b string) bool {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return a == b && n > 2 || n > 4 || n > 2 && len(a)-n < 3 && len(b)-n < 3
}
