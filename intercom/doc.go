// Package intercom is the way out: a client for Intercom's API, and the links
// that say which Intercom contact a customer is.
//
//	client, err := intercom.New(intercom.Config{Token: token})
//	…
//	n, err := client.Take(ctx, 10, false)         // pacing, before the claims
//	id, err := client.CreateMessage(ctx, intercom.Message{…})
//	switch {
//	case err == nil:               // sent
//	case intercom.NotSent(err):    // nothing left us: try again later
//	case intercom.Refused(err):    // Intercom said no: definitely not done
//	default:                       // intercom.Unknown(err): it may have been done
//	}
//
// Intercom has no idempotency key, so whoever sends must know which of the
// three ways a call failed. The package promises:
//
//   - A message, a ticket or a note is posted at most once by each call of
//     [Client.CreateMessage], [Client.CreateTicket], [Client.CreateNote] and the
//     two that create ticket types and their attributes, whatever happens to the
//     connection; so is an event of a lead. Reads and writes that can be repeated
//     without harm are retried.
//   - What may have been done can be looked for: [Client.FindMessage],
//     [Client.FindTicket], [Client.FindNote].
//   - An error is [Refused] or [NotSent] only when nothing can have been done.
//     All doubt is [Unknown].
//   - Every request asks for version 2.16 of the API.
//   - No error and no log line holds a token, an e-mail address, a name or the
//     text of a message.
//   - No call to Intercom is made inside a transaction of ours.
//   - All processes that share a [Config.Pool] stay together within the limits
//     that Intercom states. A 429 to one of them stops all: itself at once, the
//     others within a quarter of a second.
//
// Two clocks are in use. Links are as old as the business clock says
// ([Config.Now]); timeouts, backoff and pacing are machine time.
package intercom
