package intercom

import (
	"strings"
	"testing"
)

func TestNew_RefusesBadConfigurations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  Config
		want []string // parts of the message
	}{
		{"nothing set", Config{}, []string{"INTERCOM_ACCESS_TOKEN is not set"}},
		{"token with a line break", Config{Token: "abc\n"}, []string{"a line break"}},
		{"not an address", Config{Token: "abc", BaseURL: "api.intercom.io"}, []string{"INTERCOM_API_BASE is not a web address"}},
		{"unencrypted", Config{Token: "abc", BaseURL: "http://api.intercom.io"}, []string{"would send the access token unencrypted"}},
		{"credentials in the address", Config{Token: "abc", BaseURL: "https://user:hunter2@api.intercom.io"}, []string{"more than scheme, host and path"}},
		{"a query", Config{Token: "abc", BaseURL: "https://api.intercom.io?x=1"}, []string{"more than scheme, host and path"}},
		{"everything at once", Config{BaseURL: "ftp://x", ReadTimeout: -1, WriteTimeout: -1},
			[]string{"INTERCOM_API_BASE is not", "INTERCOM_ACCESS_TOKEN is not", "read timeout", "write timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tt.cfg)
			if err == nil {
				t.Fatal("New accepted it")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("message lacks %q\n got %s", part, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("message shows a password\n got %s", err)
			}
		})
	}
}

func TestNew_AcceptsRegionsAndLoopback(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "https://api.eu.intercom.io", "https://api.au.intercom.io/", "http://127.0.0.1:8081", "http://localhost:1", "http://[::1]:2/intercom/"} {
		c, err := New(Config{Token: "abc", BaseURL: base})
		if err != nil {
			t.Errorf("New refused %q: %v", base, err)
			continue
		}
		if strings.HasSuffix(c.base.String(), "/") {
			t.Errorf("base of %q ends in a slash: %s", base, c.base)
		}
	}
}
