package intercom_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/dunlin/dunlin/intercom"
)

// Sending one message, and what each way of failing means for who sends it.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"type":"admin_message","id":"19","message_type":"inapp"}`)
	}))
	defer server.Close()

	ctx := context.Background()
	client, err := intercom.New(intercom.Config{BaseURL: server.URL, Token: "dG9rOmFiYw=="})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Wait(ctx); err != nil { // before the claim
		fmt.Println(err)
		return
	}
	id, err := client.CreateMessage(ctx, intercom.Message{
		From: "991267716", To: "6762f23b1bb69f9f2193bc1a", Role: "user",
		Body: "<p>Hi Ana, the card ending 4242 expires soon.</p>",
	})
	switch {
	case err == nil:
		fmt.Println("sent as", id)
	case intercom.NotSent(err):
		fmt.Println("nothing left: try again later")
	case intercom.Refused(err):
		fmt.Println("Intercom said no:", err)
	default:
		fmt.Println("it may have arrived: look for it, do not repeat it")
	}
	// Output: sent as 19
}
