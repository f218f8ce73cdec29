package daca

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"daca/internal/core"
	"daca/internal/host"
)

// Effect is an event or a sent binding: it leaves after the turn's commit.
type Effect struct{ id uint32 }

// LogOutcome sets the line that the host writes when the effect has been delivered, or cannot be.
func (e Effect) LogOutcome(delivered, undeliverable string) error {
	return host.LogOutcome(e.id, core.WellFormed(delivered), core.WellFormed(undeliverable))
}

// Publish stages an event. `component/topic` names the topic, such as `daca-pubsub/user-chat`.
func Publish(topic string, event any) (Effect, error) {
	component, name, ok := strings.Cut(topic, "/")
	if !ok || component == "" {
		return Effect{}, fmt.Errorf("%q is no topic: write component/topic", topic)
	}
	data, err := core.Encode(event)
	if err != nil {
		return Effect{}, fmt.Errorf("the event: %w", err)
	}
	id, err := host.Publish(component, name, data)
	return Effect{id}, err
}

// Send stages a one-way call of a binding. A text is sent as it is, and not as JSON in quotes: an SMS is its text.
func Send(binding, operation string, data any, metadata map[string]string) (Effect, error) {
	bytes, err := bindingData(data)
	if err != nil {
		return Effect{}, err
	}
	id, err := host.BindingSend(binding, operation, bytes, pairs(metadata))
	return Effect{id}, err
}

// Response is what a binding answered.
type Response struct {
	Data     []byte
	Metadata map[string]string
}

// Into reads the data as JSON into what a pointer points to.
func (r Response) Into(value any) error { return core.Decode(r.Data, value) }

// InvokeBinding calls a binding now and waits. The call stands even if the turn fails: use it to read, and [Send] to
// write.
func InvokeBinding(binding, operation string, data any, metadata map[string]string) (Response, error) {
	bytes, err := bindingData(data)
	if err != nil {
		return Response{}, err
	}
	response, err := host.BindingInvoke(binding, operation, bytes, pairs(metadata))
	if err != nil {
		return Response{}, err
	}
	return Response{response.Data, table(response.Metadata)}, nil
}

func bindingData(data any) ([]byte, error) {
	switch data := data.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(data), nil
	}
	bytes, err := core.Encode(data)
	if err != nil {
		return nil, fmt.Errorf("the binding's data: %w", err)
	}
	return bytes, nil
}

func pairs(table map[string]string) []host.Pair {
	list := make([]host.Pair, 0, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		list = append(list, host.Pair{Name: name, Value: table[name]})
	}
	return list
}

func table(pairs []host.Pair) map[string]string {
	table := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		table[pair.Name] = pair.Value
	}
	return table
}

// JSON is a value as the SDK writes it, for an agent that passes it on or logs it.
func JSON(value any) (json.RawMessage, error) { return core.Encode(value) }
