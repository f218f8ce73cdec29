// Package daca makes agents for the DACA host in Go: virtual actors with durable state, events, bindings, reminders and
// timers. An agent is a type, and its exported methods are those that callers reach. The host runs it as a WebAssembly
// component, which `daca-go build` makes.
//
//	type Counter struct{}
//
//	const count = daca.Key[int]("count")
//
//	// Add adds to the sum and returns it.
//	func (c *Counter) Add(by int) (int, error) {
//		sum, err := count.GetOr(0)
//		if err != nil {
//			return 0, err
//		}
//		return sum + by, count.Set(sum + by)
//	}
//
//	func main() { daca.Agent[Counter]() }
package daca

import (
	"slices"

	"daca/internal/core"
)

// Option is a further setting of an agent.
type Option func(*core.Definition)

// Schema names the format of the agent's state, such as "2", and the keys that the hook `Migrate` reads. The two belong
// together: the host has each actor's state migrated once, in its first turn on a version with another name.
func Schema(name string, keys ...string) Option {
	return func(d *core.Definition) {
		d.Schema = name
		d.Keys = func(string) []string { return slices.Clone(keys) }
	}
}

// SchemaWith is [Schema] with keys that depend on the name of the state's format so far.
func SchemaWith(name string, keys func(from string) []string) Option {
	return func(d *core.Definition) { d.Schema, d.Keys = name, keys }
}

// Agent makes a type the agent of this component. The whole of an agent's `main` is a call of it.
//
// The exported methods of *T are those of the agent, by their names. They take one argument or none, and return a value,
// an error, both or nothing. Argument and value are JSON.
//
// The hooks are methods, too, and all optional:
//
//	Activate() error                              in every new instance, before its first method
//	Deactivate() error                            when the actor is deactivated; do not rely on it
//	OnReminder(name string, data daca.Data) error
//	OnTimer(name string, data daca.Data) error
//	OnEffectFailed(effect daca.FailedEffect, reason *daca.HostError) error
//	Migrate(state daca.Migration, from string) error
func Agent[T any](options ...Option) {
	definition := core.Definition{New: func() any { return new(T) }}
	for _, option := range options {
		option(&definition)
	}
	read, err := core.Define(definition)
	serve(read, err)
}

// Data is what a reminder or timer carries: bytes, and with Into a value.
type Data = core.Data

// FailedEffect is an event or a sent binding that the host has given up.
type FailedEffect = core.FailedEffect

// FailedEvent is the event of a [FailedEffect].
type FailedEvent = core.FailedEvent

// FailedSend is the call of a binding of a [FailedEffect].
type FailedSend = core.FailedSend

// Migration is the state that the hook `Migrate` reads and changes: values by key. What it lacks in the end is deleted.
type Migration = core.Migration
