// The ChatAgent: keeps the last messages of a conversation, publishes each exchange, and sends it as an SMS.
//
// It behaves like the Rust agent in `guest/chat-agent`, with the same names and texts.
package main

import (
	"encoding/json"
	"errors"

	"daca"
)

const (
	topic      = "daca-pubsub/user-chat"
	smsBinding = "twilio-binding"
	// defaultNumber is the recipient of the SMS when the setting `to-number` is missing.
	defaultNumber = "+1987654321"
	// kept is the number of messages of a conversation that are kept.
	kept = 5
	// maxMessage is the bytes of a message as JSON: the kept ones fit into one state value (1 MiB).
	maxMessage = 128 * 1024
)

// ChatAgent is one conversation. Everything in memory is derived from the actor's id and the agent type's settings.
type ChatAgent struct {
	id       string
	history  daca.Key[[]json.RawMessage]
	toNumber string
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// event says that an exchange took place.
type event struct {
	ActorID    string          `json:"actor_id"`
	HistoryKey string          `json:"history_key"`
	ActorType  string          `json:"actor_type"`
	EventType  string          `json:"event_type"`
	Input      json.RawMessage `json:"input"`
	Output     message         `json:"output"`
}

type sms struct {
	ToNumber string `json:"toNumber"`
	Body     string `json:"body"`
}

// Activate prepares an instance.
func (a *ChatAgent) Activate() error {
	a.id = daca.ActorID()
	a.history = daca.Key[[]json.RawMessage]("history-" + a.id)
	number, err := daca.Setting("to-number", defaultNumber)
	if err != nil {
		daca.Log.Warnf("The setting `to-number` cannot be read: %v", err)
	}
	a.toNumber = number

	daca.Log.Infof("Activating actor for %s", a.history)
	if err := a.initialise(); err != nil {
		// Nothing is written here: a failed read must not erase a history.
		daca.Log.Warnf("Non-critical error in _on_activate: %v", err)
	}
	return nil
}

func (a *ChatAgent) initialise() error {
	stored, err := a.history.Bytes()
	if err != nil {
		return err
	}
	if stored == nil {
		daca.Log.Infof("State not found for %s, initializing", a.history)
		return a.history.Set([]json.RawMessage{})
	}
	daca.Log.Infof("State found for %s: %s", a.history, stored)
	return nil
}

// ProcessMessage answers a message `{role, content}` and keeps both.
func (a *ChatAgent) ProcessMessage(input json.RawMessage) (*message, error) {
	content, err := checkedContent(input)
	if err != nil {
		return nil, err
	}
	output, err := a.exchange(input, content)
	if err != nil {
		daca.Log.Errorf("Error processing message for %s: %v", a.history, err)
		var rejected *daca.HostError
		if errors.As(err, &rejected) && rejected.Code == daca.CodeTooLarge {
			// The caller's message is too large, and a retry would not change that.
			return nil, daca.Invalid("The message cannot be kept: %v", err)
		}
	}
	return output, err
}

// GetConversationHistory has the kept messages, oldest first.
func (a *ChatAgent) GetConversationHistory() ([]json.RawMessage, error) {
	messages, err := a.messages()
	if err != nil {
		daca.Log.Errorf("Error getting history for %s: %v", a.history, err)
	}
	return messages, err
}

func (a *ChatAgent) exchange(input json.RawMessage, content string) (*message, error) {
	daca.Log.Infof("Processing message for %s: %s", a.history, input)
	output := &message{"assistant", "Got your message: " + content}
	answer, err := daca.JSON(output)
	if err != nil {
		return nil, err
	}
	messages, err := a.messages()
	if err != nil {
		return nil, err
	}
	messages = append(messages, input, answer)
	if err := a.history.Set(messages[max(0, len(messages)-kept):]); err != nil {
		return nil, err
	}
	daca.Log.Infof("Processed message for %s: %s", a.history, content)

	if err := a.publish(input, output); err != nil {
		daca.Log.Errorf("Failed to publish event: %v", err)
	}
	if err := a.sendSMS(content, output.Content); err != nil {
		daca.Log.Errorf("Failed to send SMS: %v", err)
	}
	return output, nil
}

// messages are those of the stored history. Anything but a list counts as empty.
func (a *ChatAgent) messages() ([]json.RawMessage, error) {
	stored, err := a.history.Bytes()
	messages := []json.RawMessage{}
	if err != nil || stored == nil {
		return messages, err
	}
	if !json.Valid(stored) {
		daca.Log.Warnf("The state under %s is not JSON, starting anew", a.history)
	} else if json.Unmarshal(stored, &messages) != nil || messages == nil {
		messages = []json.RawMessage{}
	}
	return messages, nil
}

// publish stages the event. The conversation continues if that fails.
func (a *ChatAgent) publish(input json.RawMessage, output *message) error {
	text, err := daca.JSON(event{a.id, string(a.history), "ChatAgent", "ConversationUpdated", input, *output})
	if err != nil {
		return err
	}
	effect, err := daca.Publish(topic, text)
	if err != nil {
		return err
	}
	return effect.LogOutcome("Published event for "+string(a.history)+": "+string(text), "Failed to publish event")
}

// sendSMS stages the SMS, unless the setting `to-number` is empty. The conversation continues if that fails.
func (a *ChatAgent) sendSMS(content, answer string) error {
	if a.toNumber == "" {
		return nil
	}
	body := "New message from " + a.id + ": " + content + " -> " + answer
	text, err := daca.JSON(sms{a.toNumber, body})
	if err != nil {
		return err
	}
	effect, err := daca.Send(smsBinding, "create", body, map[string]string{"toNumber": a.toNumber})
	if err != nil {
		return err
	}
	return effect.LogOutcome("Sent SMS for "+string(a.history)+": "+string(text), "Failed to send SMS")
}

// checkedContent is the content of a valid message.
func checkedContent(input json.RawMessage) (string, error) {
	if len(input) > maxMessage {
		return "", daca.Invalid("The message has %d bytes; %d are the most", len(input), maxMessage)
	}
	var fields map[string]json.RawMessage
	// What is no object has no fields.
	_ = json.Unmarshal(input, &fields)
	content, ok := text(fields["content"])
	if !ok || content == "" {
		return "", daca.Invalid("Invalid or missing 'content' field")
	}
	if _, ok := text(fields["role"]); !ok {
		return "", daca.Invalid("Invalid or missing 'role' field")
	}
	return content, nil
}

// text is a field that is a text.
func text(field json.RawMessage) (string, bool) {
	var value *string
	if len(field) == 0 || json.Unmarshal(field, &value) != nil || value == nil {
		return "", false
	}
	return *value, true
}

func main() { daca.Agent[ChatAgent]() }
