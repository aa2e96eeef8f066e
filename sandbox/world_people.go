package sandbox

import "strings"

// place is where a customer lives. State is set only where it lies in one time
// zone; a country that has none here is judged by the country.
type place struct {
	country, state, region, city, zone, currency string
	weight                                       int
}

var places = []place{
	{"US", "NY", "New York", "New York", "America/New_York", "usd", 70},
	{"US", "MA", "Massachusetts", "Boston", "America/New_York", "usd", 30},
	{"US", "GA", "Georgia", "Atlanta", "America/New_York", "usd", 30},
	{"US", "IL", "Illinois", "Chicago", "America/Chicago", "usd", 45},
	{"US", "MN", "Minnesota", "Minneapolis", "America/Chicago", "usd", 20},
	{"US", "CO", "Colorado", "Denver", "America/Denver", "usd", 30},
	{"US", "AZ", "Arizona", "Phoenix", "America/Phoenix", "usd", 25},
	{"US", "CA", "California", "San Francisco", "America/Los_Angeles", "usd", 100},
	{"US", "WA", "Washington", "Seattle", "America/Los_Angeles", "usd", 45},
	{"US", "HI", "Hawaii", "Honolulu", "Pacific/Honolulu", "usd", 10},
	{"CA", "QC", "Quebec", "Montreal", "America/Toronto", "usd", 20},
	{"CA", "AB", "Alberta", "Calgary", "America/Edmonton", "usd", 15},
	{"CA", "MB", "Manitoba", "Winnipeg", "America/Winnipeg", "usd", 8},
	{"AU", "NSW", "New South Wales", "Sydney", "Australia/Sydney", "usd", 18},
	{"AU", "VIC", "Victoria", "Melbourne", "Australia/Melbourne", "usd", 15},
	{"AU", "QLD", "Queensland", "Brisbane", "Australia/Brisbane", "usd", 10},
	{"AU", "WA", "Western Australia", "Perth", "Australia/Perth", "usd", 8},
	{"BR", "SP", "São Paulo", "São Paulo", "America/Sao_Paulo", "usd", 20},
	{"BR", "RJ", "Rio de Janeiro", "Rio de Janeiro", "America/Sao_Paulo", "usd", 10},
	{"MX", "", "Mexico City", "Mexico City", "America/Mexico_City", "usd", 20},
	{"GB", "", "England", "London", "Europe/London", "gbp", 85},
	{"DE", "", "Berlin", "Berlin", "Europe/Berlin", "eur", 75},
	{"FR", "", "Île-de-France", "Paris", "Europe/Paris", "eur", 40},
	{"ES", "", "Madrid", "Madrid", "Europe/Madrid", "eur", 25},
	{"PT", "", "Lisbon", "Lisbon", "Europe/Lisbon", "eur", 12},
	{"IT", "", "Lombardy", "Milan", "Europe/Rome", "eur", 25},
	{"NL", "", "North Holland", "Amsterdam", "Europe/Amsterdam", "eur", 30},
	{"PL", "", "Mazovia", "Warsaw", "Europe/Warsaw", "usd", 18},
	{"SE", "", "Stockholm", "Stockholm", "Europe/Stockholm", "usd", 15},
	{"IN", "", "Karnataka", "Bengaluru", "Asia/Kolkata", "usd", 35},
	{"JP", "", "Tokyo", "Tokyo", "Asia/Tokyo", "jpy", 35},
	{"SG", "", "Singapore", "Singapore", "Asia/Singapore", "usd", 15},
	{"NZ", "", "Auckland", "Auckland", "Pacific/Auckland", "usd", 12},
	{"ZA", "", "Gauteng", "Johannesburg", "Africa/Johannesburg", "usd", 14},
	{"AE", "", "Dubai", "Dubai", "Asia/Dubai", "usd", 15},
}

var placesWeight = func() (sum int) {
	for _, p := range places {
		sum += p.weight
	}
	return sum
}()

func placeOf(d dice, entity string) place {
	n := d.pick(placesWeight, entity, "place", 0)
	for _, p := range places {
		if n -= p.weight; n < 0 {
			return p
		}
	}
	return places[0]
}

var firstNames = strings.Fields(`Ana Ben Carla Daniel Elena Felix Grace Hugo Ines Jonas Katrin Liam Maya Noah
	Olivia Pedro Quinn Rosa Samuel Tara Uma Victor Wanda Xavier Yuki Zoe Aisha Bruno Chloe David Emma Farid Gina
	Hana Ivan Julia Kenji Laura Marco Nina Omar Paula Ravi Sofia Thomas Ursula Vera Will`)

var lastNames = strings.Fields(`Silva Meyer Garcia Smith Novak Rossi Tanaka Patel Jensen Dubois Kowalski Okafor
	Brown Fischer Lopez Andersson Moreau Ricci Suzuki Sharma Nguyen Walker Becker Santos Murphy Visser Lindgren
	Khan Costa Weber Martin Hall Yamada Reyes Schmidt Almeida Clark Romano Jansen Fraser Mehta Ortiz Berg Hughes
	Laurent Wagner Evans Pereira Kaya Duarte Young Keller Navarro Stone Bianchi Ito Dlamini Haddad Olsen Price`)

// personName and personEmail belong to the n-th customer; the number keeps
// addresses apart where names are not.
func personName(d dice, entity string) string {
	return firstNames[d.pick(len(firstNames), entity, "first name", 0)] + " " + lastNames[d.pick(len(lastNames), entity, "last name", 0)]
}

func personEmail(name string, n int) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ".")) + itoa(int64(n)) + "@example.com"
}

// otherCase is an address as its owner typed it into another form: Intercom
// keeps that spelling, and matching must not mind (facts, trap 25).
func otherCase(email string) string {
	local, host, _ := strings.Cut(email, "@")
	parts := strings.Split(local, ".")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, ".") + "@" + host
}
