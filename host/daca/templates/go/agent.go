// An agent: one conversation for each actor.
//
// A call is one turn: state, events and reminders take effect together when the method returns no error, and not at all
// when it does. Only state lasts.
package main

import (
	"time"

	"daca"
)

const (
	// kept is the number of messages of a conversation that are kept.
	kept = 10
	// forgottenAfter is the time without a message after which a conversation is forgotten.
	forgottenAfter = 24 * time.Hour
	// history is the key of the kept messages.
	history = daca.Key[[]Message]("history")
)

// Message is a message of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Said is what a caller says.
type Said struct {
	Content string `json:"content"`
}

// Exchange is the event of a message and its answer.
type Exchange struct {
	ID     string  `json:"id"`
	Said   Message `json:"said"`
	Answer Message `json:"answer"`
}

// AgentName is one conversation.
type AgentName struct{}

// Say answers a message, and keeps both.
func (a *AgentName) Say(message Said) (*Message, error) {
	if message.Content == "" {
		return nil, daca.Invalid("the message has no content")
	}
	said := Message{"user", message.Content}
	answer := Message{"assistant", "Got your message: " + message.Content}
	messages, err := a.History()
	if err != nil {
		return nil, err
	}
	messages = append(messages, said, answer)
	if err := history.Set(messages[max(0, len(messages)-kept):]); err != nil {
		return nil, err
	}
	if _, err := daca.Publish("pubsub/chat", Exchange{daca.ActorID(), said, answer}); err != nil {
		return nil, err
	}
	return &answer, daca.Reminders.Register("forget", daca.Schedule{Due: forgottenAfter}, nil)
}

// History has the kept messages, oldest first.
func (a *AgentName) History() ([]Message, error) {
	return history.GetOr([]Message{})
}

// OnReminder forgets the conversation.
func (a *AgentName) OnReminder(name string, _ daca.Data) error {
	daca.Log.Infof("%s: nobody has said anything for a day", name)
	return history.Delete()
}

func main() { daca.Agent[AgentName]() }
