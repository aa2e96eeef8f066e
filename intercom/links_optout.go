package intercom

import (
	"context"
	"strings"
	"time"
)

// optedOut reads the rest of the contact's tags only when there is an opt-out
// tag to look for.
func (l *Links) optedOut(ctx context.Context, c Contact, s Settings, now time.Time, maxAge time.Duration) (string, error) {
	tag, err := l.optOutTag(ctx, s.OptOutTag, now, maxAge)
	if err != nil {
		return "", err
	}
	tags := c.TagIDs
	if tag != "" && c.MoreTags {
		all, err := l.client.ContactTags(ctx, c.ID)
		if err != nil {
			return "", err
		}
		for _, t := range all {
			tags = append(tags, t.ID)
		}
	}
	return optedOut(c, tags, tag, s), nil
}

// optOutTag returns the id of the opt-out tag, and the empty text when the
// workspace has no tag of that name: then nobody can carry it. What it knows is
// no older than the links it is used for.
func (l *Links) optOutTag(ctx context.Context, name string, now time.Time, maxAge time.Duration) (string, error) {
	if name == "" {
		return "", nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tagsAt.IsZero() || now.Sub(l.tagsAt) >= maxAge {
		tags, err := l.client.Tags(ctx)
		if err != nil {
			return "", err
		}
		l.tags, l.tagsAt = make(map[string]string, len(tags)), now
		for _, t := range tags {
			l.tags[strings.ToLower(t.Name)] = t.ID
		}
	}
	return l.tags[strings.ToLower(name)], nil
}
