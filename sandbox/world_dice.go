package sandbox

// dice is where all of the sandbox's chance and all of its ids come from. Each
// throw is a hash of (seed, entity, purpose, ordinal) and of nothing else: no
// shared stream, so the order in which requests or map keys arrive cannot change
// a life.
type dice uint64

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// bits returns 64 bits for one throw.
func (d dice) bits(entity, purpose string, n int) uint64 {
	const prime = 1099511628211 // FNV-1a
	h := mix(uint64(d)) ^ 14695981039346656037
	for i := range len(entity) {
		h = (h ^ uint64(entity[i])) * prime
	}
	h = (h ^ 0xff) * prime // a separator no text contains
	for i := range len(purpose) {
		h = (h ^ uint64(purpose[i])) * prime
	}
	return mix(h ^ mix(uint64(n)+1))
}

// mix is the finaliser of splitmix64: FNV alone leaves the high bits poor.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// unit returns a number in [0, 1).
func (d dice) unit(entity, purpose string, n int) float64 {
	return float64(d.bits(entity, purpose, n)>>11) / (1 << 53)
}

// chance is true with probability p.
func (d dice) chance(p float64, entity, purpose string, n int) bool {
	return d.unit(entity, purpose, n) < p
}

// pick returns an index below size, which is above zero.
func (d dice) pick(size int, entity, purpose string, n int) int {
	return int(d.bits(entity, purpose, n) % uint64(size))
}

// between returns a grid instant in [from, to), Unix seconds; from, on the grid,
// when the span is empty.
func (d dice) between(from, to int64, entity, purpose string, n int) int64 {
	return onGrid(from + int64(float64(max(to-from-step, 0))*d.unit(entity, purpose, n)))
}

// id returns prefix and length letters and digits that belong to entity.
func (d dice) id(prefix, entity string, length int) string {
	b := make([]byte, 0, len(prefix)+length)
	b = append(b, prefix...)
	for n := 0; len(b) < len(prefix)+length; n++ {
		for x, i := d.bits(entity, prefix, n), 0; i < 10 && len(b) < len(prefix)+length; i++ {
			b = append(b, alphabet[x%62])
			x /= 62
		}
	}
	return string(b)
}

// hex returns length hexadecimal digits that belong to entity.
func (d dice) hex(entity string, length int) string {
	b := make([]byte, 0, length)
	for n := 0; len(b) < length; n++ {
		for x, i := d.bits(entity, "hex", n), 0; i < 16 && len(b) < length; i++ {
			b = append(b, "0123456789abcdef"[x%16])
			x /= 16
		}
	}
	return string(b)
}

// digits returns length decimal digits that belong to entity and purpose.
func (d dice) digits(entity, purpose string, n, length int) string {
	b := make([]byte, length)
	x := d.bits(entity, purpose, n)
	for i := range b {
		b[i] = byte('0' + x%10)
		x /= 10
	}
	return string(b)
}
