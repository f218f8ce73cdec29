package main

import (
	"encoding/json"
	"slices"
	"testing"

	"daca/dacatest"
)

func TestAConversation(t *testing.T) {
	host := dacatest.New(t, main)
	host.Type = "ChatAgent"
	actor := host.Actor("user1")
	for _, content := range []string{"one", "two", "three"} {
		var reply message
		input := json.RawMessage(`{"role":"user","content":"` + content + `","at":7}`)
		if err := actor.Call("ProcessMessage", input, &reply); err != nil || reply != (message{"assistant", "Got your message: " + content}) {
			t.Fatal(reply, err)
		}
	}
	var history json.RawMessage
	if err := actor.Call("GetConversationHistory", nil, &history); err != nil {
		t.Fatal(err)
	}
	want := `[{"role":"assistant","content":"Got your message: one"},` +
		`{"role":"user","content":"two","at":7},{"role":"assistant","content":"Got your message: two"},` +
		`{"role":"user","content":"three","at":7},{"role":"assistant","content":"Got your message: three"}]`
	if string(history) != want {
		t.Fatal(string(history))
	}
	sent := host.Sent[0]
	if string(sent.Data) != "New message from user1: one -> Got your message: one" || sent.Metadata["toNumber"] != "+1987654321" {
		t.Fatal(sent)
	}
	lines := []dacatest.Line{
		{Level: "info", Message: "Activating actor for history-user1"},
		{Level: "info", Message: "State not found for history-user1, initializing"},
		{Level: "info", Message: `Processing message for history-user1: {"role":"user","content":"one","at":7}`},
		{Level: "info", Message: "Processed message for history-user1: one"},
		{Level: "info", Message: "Published event for history-user1: " + string(host.Events[0].Data)},
		{Level: "info", Message: `Sent SMS for history-user1: {"toNumber":"+1987654321","body":"New message from user1: one -> Got your message: one"}`},
	}
	if !slices.Equal(host.Logged[:len(lines)], lines) {
		t.Fatal(host.Logged[:len(lines)])
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	actor := dacatest.New(t, main).Actor("user1")
	for payload, want := range map[string]string{
		`{"role":"user"}`:                 "Invalid or missing 'content' field",
		`{"role":"user","content":""}`:    "Invalid or missing 'content' field",
		`{"role":null,"content":"hello"}`: "Invalid or missing 'role' field",
		`["content"]`:                     "Invalid or missing 'content' field",
	} {
		if err := actor.Call("ProcessMessage", json.RawMessage(payload), nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestAnEmptyNumberSendsNoSMS(t *testing.T) {
	host := dacatest.New(t, main)
	host.Settings = map[string]string{"to-number": ""}
	if err := host.Actor("user1").Call("ProcessMessage", message{"user", "hello"}, nil); err != nil || len(host.Sent) != 0 || len(host.Events) != 1 {
		t.Fatal(err, host.Sent, host.Events)
	}
}
