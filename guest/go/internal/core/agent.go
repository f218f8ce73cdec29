// Package core makes an agent of a type: which of its methods callers reach, and how a call becomes a method's.
package core

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"daca/internal/host"
)

// Hooks are the methods that the host calls, and no caller.
var Hooks = []string{"Activate", "Deactivate", "OnReminder", "OnTimer", "OnEffectFailed", "Migrate"}

// Definition is an agent: its type and its schema.
type Definition struct {
	// New makes the value of an activation: a pointer to the type.
	New func() any
	// Schema is the label of the state's format, if the type has `Migrate`.
	Schema string
	// Keys are those that `Migrate` reads.
	Keys    func(from string) []string
	methods map[string]method
	names   []string
}

// method is one that callers reach.
type method struct {
	// run takes the agent's value, and then the argument.
	run reflect.Value
	// input is the type of its parameter, or nil.
	input reflect.Type
	// value and err are the places of its results, or -1.
	value, err int
}

// named is a function that takes the agent's value first.
type named struct {
	name string
	run  reflect.Value
}

var errorType = reflect.TypeFor[error]()

// Define reads the methods of a type.
func Define(definition Definition) (*Definition, error) {
	definition.methods = map[string]method{}
	for _, m := range methodsOf(reflect.TypeOf(definition.New())) {
		if slices.Contains(Hooks, m.name) {
			continue
		}
		read, problem := read(m.run)
		if problem != "" {
			return nil, fmt.Errorf("the method %s %s", m.name, problem)
		}
		definition.methods[m.name] = read
		definition.names = append(definition.names, m.name)
	}
	if err := checkHooks(definition.New()); err != nil {
		return nil, err
	}
	_, migrates := definition.New().(Migrator)
	if migrates != (definition.Schema != "") {
		return nil, fmt.Errorf("the method Migrate and the option Schema belong together: daca.Agent[T](daca.Schema(\"2\", keys…))")
	}
	return &definition, nil
}

// KeysOf are the keys that the hook `Migrate` reads of a state in another format.
func (d *Definition) KeysOf(from string) (keys []string, failure *Failure) {
	defer recovered(&failure)
	if d.Keys == nil {
		return nil, &Failure{Failed, "the agent names no keys for its migration"}
	}
	return d.Keys(from), nil
}

func read(run reflect.Value) (method, string) {
	t := run.Type()
	found := method{run: run, value: -1, err: -1}
	if t.IsVariadic() || t.NumIn() > 2 {
		return found, "takes more than one argument"
	}
	if t.NumIn() == 2 {
		found.input = t.In(1)
	}
	results := t.NumOut()
	if results > 0 && t.Out(results-1) == errorType {
		found.err = results - 1
		results--
	}
	if results > 1 {
		return found, "returns more than a value and an error"
	}
	if results == 1 {
		found.value = 0
	}
	return found, ""
}

// Signatures are the hooks, as an author writes them.
var Signatures = map[string]string{
	"Activate":       "Activate() error",
	"Deactivate":     "Deactivate() error",
	"OnReminder":     "OnReminder(name string, data daca.Data) error",
	"OnTimer":        "OnTimer(name string, data daca.Data) error",
	"OnEffectFailed": "OnEffectFailed(effect daca.FailedEffect, reason *daca.HostError) error",
	"Migrate":        "Migrate(state daca.Migration, from string) error",
}

// The hooks.
type (
	Activator   interface{ Activate() error }
	Deactivator interface{ Deactivate() error }
	Reminded    interface {
		OnReminder(name string, data Data) error
	}
	Timed interface {
		OnTimer(name string, data Data) error
	}
	EffectWatcher interface {
		OnEffectFailed(effect FailedEffect, reason *host.Error) error
	}
	Migrator interface {
		Migrate(state Migration, from string) error
	}
)

// Activation is one instance of an agent.
type Activation struct {
	definition *Definition
	value      any
}

// NewActivation makes a new value of the agent's type.
func NewActivation(definition *Definition) *Activation {
	return &Activation{definition, definition.New()}
}

// Invoke runs a method of a caller.
func (a *Activation) Invoke(name string, payload []byte) (reply []byte, failure *Failure) {
	defer recovered(&failure)
	m, ok := a.definition.methods[name]
	if !ok {
		return nil, &Failure{NotFound, fmt.Sprintf("there is no method `%s`; the methods are %s", name, strings.Join(a.definition.names, ", "))}
	}
	inputs := []reflect.Value{reflect.ValueOf(a.value)}
	if m.input != nil {
		input := reflect.New(m.input)
		if err := decodePayload(payload, input.Interface()); err != nil {
			return nil, &Failure{Invalid, fmt.Sprintf("%s cannot use this payload: %v", name, err)}
		}
		inputs = append(inputs, input.Elem())
	}
	results := m.run.Call(inputs)
	if m.err >= 0 {
		if err, _ := results[m.err].Interface().(error); err != nil {
			return nil, FailureOf(err)
		}
	}
	if m.value < 0 {
		return []byte("null"), nil
	}
	reply, err := Encode(results[m.value].Interface())
	if err != nil {
		return nil, &Failure{Failed, fmt.Sprintf("the reply of %s: %v", name, err)}
	}
	return reply, nil
}

// Activate runs the hook, if there is one.
func (a *Activation) Activate() *Failure {
	if hook, ok := a.value.(Activator); ok {
		return run(hook.Activate)
	}
	return nil
}

// Deactivate runs the hook, if there is one.
func (a *Activation) Deactivate() *Failure {
	if hook, ok := a.value.(Deactivator); ok {
		return run(hook.Deactivate)
	}
	return nil
}

// OnReminder runs the hook.
func (a *Activation) OnReminder(name string, data []byte) *Failure {
	hook, ok := a.value.(Reminded)
	if !ok {
		return &Failure{NotFound, "the agent has no OnReminder"}
	}
	return run(func() error { return hook.OnReminder(name, data) })
}

// OnTimer runs the hook.
func (a *Activation) OnTimer(name string, data []byte) *Failure {
	hook, ok := a.value.(Timed)
	if !ok {
		return &Failure{NotFound, "the agent has no OnTimer"}
	}
	return run(func() error { return hook.OnTimer(name, data) })
}

// OnEffectFailed runs the hook, if there is one.
func (a *Activation) OnEffectFailed(effect FailedEffect, reason *host.Error) *Failure {
	hook, ok := a.value.(EffectWatcher)
	if !ok {
		return nil
	}
	return run(func() error { return hook.OnEffectFailed(effect, reason) })
}

// Migrate runs the hook.
func (a *Activation) Migrate(from string, state Migration) *Failure {
	hook, ok := a.value.(Migrator)
	if !ok {
		return &Failure{Failed, "the agent has no Migrate"}
	}
	return run(func() error { return hook.Migrate(state, from) })
}

func run(hook func() error) (failure *Failure) {
	defer recovered(&failure)
	if err := hook(); err != nil {
		return FailureOf(err)
	}
	return nil
}

// recovered makes a failure of a panic: the turn is discarded with its instance in either case, and the caller reads why.
func recovered(failure **Failure) {
	if value := recover(); value != nil {
		*failure = panicked(value)
	}
}
