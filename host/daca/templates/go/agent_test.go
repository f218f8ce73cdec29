// Tests of the agent, with a host in memory: go test
package main

import (
	"slices"
	"testing"
	"time"

	"daca/dacatest"
)

func TestAMessageIsAnsweredKeptAndPublished(t *testing.T) {
	host := dacatest.New(t, main)
	user := host.Actor("user1")
	var answer Message
	err := user.Call("Say", Said{"Hi"}, &answer)
	if want := (Message{"assistant", "Got your message: Hi"}); err != nil || answer != want {
		t.Fatal(answer, err)
	}
	var messages []Message
	if err := user.Call("History", nil, &messages); err != nil || !slices.Equal(messages, []Message{{"user", "Hi"}, answer}) {
		t.Fatal(messages, err)
	}
	if len(host.Events) != 1 || host.Events[0].Topic != "pubsub/chat" {
		t.Fatal(host.Events)
	}
}

func TestAMessageWithoutContentIsRefusedAndLeavesNothing(t *testing.T) {
	host := dacatest.New(t, main)
	if err := host.Actor("user1").Call("Say", Said{}, nil); err == nil {
		t.Fatal("it was taken")
	}
	exists, err := host.Actor("user1").State("history", new([]Message))
	if exists || err != nil || len(host.Events) != 0 {
		t.Fatal(exists, err, host.Events)
	}
}

func TestAConversationIsForgottenADayAfterTheLastMessage(t *testing.T) {
	host := dacatest.New(t, main)
	user := host.Actor("user1")
	for range 2 {
		if err := user.Call("Say", Said{"Hi"}, nil); err != nil {
			t.Fatal(err)
		}
		if errs := host.Advance(24*time.Hour - time.Millisecond); errs != nil {
			t.Fatal(errs)
		}
	}
	var messages []Message
	if err := user.Call("History", nil, &messages); err != nil || len(messages) != 4 {
		t.Fatal(messages, err)
	}
	if errs := host.Advance(time.Millisecond); errs != nil {
		t.Fatal(errs)
	}
	if err := user.Call("History", nil, &messages); err != nil || len(messages) != 0 {
		t.Fatal(messages, err)
	}
}
