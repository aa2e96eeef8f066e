package jsonpick

import "testing"

func TestPick(t *testing.T) {
	t.Parallel()
	want := Members{"a": nil, "b": nil, "in": {"a": nil}}
	tests := []struct{ name, raw, want string }{
		{"empty", ` { } `, `{}`},
		{"order and all kinds", `{"x":1,"a":{"x":[1,{"b":2}]},"y":"}","b":[true,null,"]\"{"],"z":-1.5e3}`, `{"a":{"x":[1,{"b":2}]},"b":[true,null,"]\"{"]}`},
		{"inside an object", `{"in":{"x":1,"a":{"x":2}},"b":{"in":3}}`, `{"in":{"a":{"x":2}},"b":{"in":3}}`},
		{"what should be an object and is none", `{"in":null,"a":1}`, `{"in":null,"a":1}`},
		{"white space", "{\n  \"a\" : 1 ,\r\n\t\"x\" : { } , \"b\" : \"t\" }", `{"a":1,"b":"t"}`},
		{"escaped backslash at the end", `{"x":"\\","a":"\\\"","b":"\\\\"}`, `{"a":"\\\"","b":"\\\\"}`},
		{"the last of two", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{"no object", `[{"a":1}]`, ""}, {"a number", `5`, ""}, {"nothing", ``, ""},
		{"ends in a text", `{"x":"`, ""}, {"ends in an object", `{"x":{"y":1}`, ""}, {"ends after a colon", `{"a":`, ""}, {"no value", `{"a":,"b":1}`, ""}, {"no key", `{1:2}`, ""},
	}
	for _, tt := range tests {
		if got, _ := Pick([]byte(tt.raw), want); string(got) != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
