package core

// Data is what a reminder or timer carries.
type Data []byte

// Into reads it as JSON into what a pointer points to.
func (d Data) Into(value any) error { return Decode(d, value) }

// FailedEffect is an event or a sent binding that the host has given up.
type FailedEffect struct {
	// ID is its identity, which no repetition changes: the id of its CloudEvent, or its `Idempotency-Key`.
	ID string
	// Attempts are the tries that were made to deliver it.
	Attempts uint32
	// Event is what was published, or nil.
	Event *FailedEvent
	// Sent is what was sent to a binding, or nil.
	Sent *FailedSend
}

// FailedEvent is an event that was published.
type FailedEvent struct {
	// Topic is `component/topic`.
	Topic string
	Data  []byte
}

// FailedSend is a call of a binding that was sent.
type FailedSend struct {
	Binding, Operation string
	Data               []byte
	Metadata           map[string]string
}

// Migration is the state that a migration reads and changes: values by key. What it lacks in the end is deleted.
type Migration map[string]Data

// Set writes a value as JSON.
func (m Migration) Set(key string, value any) error {
	text, err := Encode(value)
	if err == nil {
		m[key] = text
	}
	return err
}
