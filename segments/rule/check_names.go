package rule

import (
	"slices"
	"strings"
)

// What names mean, and what somebody may have meant by one that is not there.

func (k *checker) ref(ref *Ref, beside Type) Type {
	if ref.Customer && k.inside == nil {
		k.report(customerOutsideWhere(ref.span, ref.Name))
		return Invalid
	}
	a, ok := k.lookup(ref)
	if !ok {
		k.report(k.unknown(ref, beside))
		return Invalid
	}
	switch {
	case a.Type == MapType && !ref.HasKey:
		k.report(mapNeedsKey(ref.span, ref.bare()))
		return Invalid
	case a.Type != MapType && ref.HasKey:
		k.report(noKeys(ref.span, ref.bare(), a.Type))
		return Invalid
	}
	k.attrs[ref] = a
	if k.inside != nil && !ref.Customer {
		k.read[k.inside.Name+"."+a.Name] = struct{}{}
	} else {
		k.read[a.Name] = struct{}{}
	}
	return refType(ref, a)
}

// lookup finds what a name means where it stands.
func (k *checker) lookup(ref *Ref) (Attribute, bool) {
	if k.inside != nil && !ref.Customer {
		return k.inside.Field(ref.Name)
	}
	return k.catalog.Attribute(ref.Name)
}

// unknown finds what somebody may have meant by a name that is not there.
func (k *checker) unknown(ref *Ref, beside Type) Diagnostic {
	if k.inside != nil && !ref.Customer {
		return k.unknownField(ref.span, *k.inside, ref, beside)
	}
	bare := strings.TrimPrefix(ref.Name, "stripe_")
	if money, ok := strings.CutSuffix(ref.Name, "_currency"); ok {
		if a, ok := k.catalog.Attribute(money); ok && a.Type == MoneyType {
			return currencyColumn(ref.span, ref.Name, money)
		}
	}
	if d, ok := k.fieldOfCollections(ref); ok {
		return d
	}
	if c, ok := k.collectionLike(ref.Name); ok && !ref.Customer && !ref.HasKey {
		return collectionAlone(ref.span, c, k.text(ref), k.predicateWith(ref.span, k.countOf(c)))
	}
	if moved, ok := days[ref.Name]; ok && (beside == DateType || beside == InstantType) {
		return unknownName{at: ref.span, name: k.text(ref), instead: moved}.say()
	}
	u := unknownName{at: ref.span, name: k.text(ref), others: k.attributesOf(beside)}
	if bare == "id" || bare == "customer_id" || bare == "customer" {
		if _, ok := k.catalog.Attribute("stripe_id"); ok {
			u.guess = "stripe_id"
			return u.say()
		}
	}
	var names []string
	for _, a := range k.catalog.Attributes() {
		names = append(names, a.Name)
	}
	if u.near = akin(bare, names); len(u.near) == 0 && !ref.Customer && !ref.HasKey {
		u.instead = k.fieldAkin(ref)
	}
	prefix := ref.Name[:len(ref.Name)-len(bare)]
	if guess, ok := nearest(bare, names); ok {
		u.instead = ""
		u.guess = prefix + strings.TrimPrefix(guess, prefix)
	} else if guess, ok := nearest(ref.Name, names); ok {
		u.instead = ""
		u.guess = guess
	}
	if u.guess != "" && ref.Customer {
		u.guess = "customer." + u.guess
	}
	if beside == Text && !ref.HasKey {
		u.instead = ""
		u.literal = quote(clip(k.text(ref), 60))
	}
	return u.say()
}

// days are what people call them.
var days = map[string]string{
	"yesterday": "today() - 1 day", "tomorrow": "today() + 1 day", "current_date": "today()", "current_timestamp": "now()",
}

// attributesOf lists a few attributes of a type, or of any when none has it.
func (k *checker) attributesOf(t Type) []string {
	var fit, all []string
	for _, a := range k.catalog.Attributes() {
		if all = append(all, a.Name); a.Type == t {
			fit = append(fit, a.Name)
		}
	}
	if len(fit) > 0 {
		all = fit
	}
	return all[:min(len(all), 6)]
}

// collectionLike finds a collection by its name or something close, such as the
// name of one element.
func (k *checker) collectionLike(name string) (Collection, bool) {
	if c, ok := k.catalog.Collection(name); ok {
		return c, true
	}
	for _, c := range k.catalog.Collections() {
		if name != "" && (strings.HasSuffix(c.One, " "+strings.ToLower(name))) {
			return c, true
		}
	}
	return Collection{}, false
}

// qualified says again, for a catalog, what the parser said about table.field.
func (k *checker) qualified(v *qualified) {
	old := qualifiedName(v)
	c, ok := k.collectionLike(v.table)
	if !ok {
		return
	}
	ref := &Ref{at: v.at, Name: strings.ToLower(v.field)}
	f, known := c.Field(v.field)
	switch {
	case !known:
		k.instead(old, k.unknownField(v.span, c, ref, Invalid))
	case k.inside != nil && k.inside.Name == c.Name:
		k.instead(old, Diagnostic{v.span, "inside where a field stands by itself", "write " + f.Name})
	case k.inside != nil:
		k.instead(old, otherCollection(v.span, *k.inside, c))
	case !k.alone(v):
		k.instead(old, fieldBeside(v.span, c, f))
	default:
		k.instead(old, fieldOutside(v.span, c, f, k.narrowed(v.span, f.Name)))
	}
}

// predicateWith returns the condition that is being checked with other text at
// one place, for a hint; empty when it is too long for one.
func (k *checker) predicateWith(s Span, text string) string {
	at := k.checking.Span()
	if at.Start > s.Start || at.End < s.End || at.End-at.Start > 100 {
		return ""
	}
	if is, ok := k.checking.(*Is); ok { // which may have been written = null
		return text + " is" + negated(is.Not) + " " + is.What.String()
	}
	return k.src[at.Start:s.Start] + text + k.src[s.End:at.End]
}

// narrowed returns the condition that is being checked as it would read inside a
// where, with a field's name at one place.
func (k *checker) narrowed(s Span, field string) string {
	with := k.predicateWith(s, field)
	if with == "" {
		with = field + " …"
	}
	if k.also != "" {
		with += " and " + k.also
	}
	return with
}

func (k *checker) countOf(c Collection) string {
	if k.also != "" {
		return "count(" + c.Name + " where " + k.also + ")"
	}
	return "count(" + c.Name + ")"
}

// alone says whether the condition that is being checked reads v and nothing
// else.
func (k *checker) alone(v Value) bool {
	return !slices.ContainsFunc(operands(k.checking), func(x Value) bool { return x != v && reads(x) })
}

// bare returns a reference as it is written, without its key.
func (r *Ref) bare() string {
	if r.Customer {
		return "customer." + r.Name
	}
	return r.Name
}
