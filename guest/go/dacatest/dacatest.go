//go:build !wasip1

// Package dacatest is a host in memory, for tests of an agent: the same type, its state, events, bindings, wake-ups and a
// clock.
//
// A turn is all or nothing here, too: when a method returns an error or panics, its writes and effects are gone, and so is
// the instance.
//
//	func TestAdd(t *testing.T) {
//		host := dacatest.New(t, main)
//		var sum int
//		if err := host.Actor("a").Call("Add", 2, &sum); err != nil || sum != 2 {
//			t.Fatal(sum, err)
//		}
//	}
package dacatest

import (
	"slices"
	"testing"
	"time"

	"daca"
	"daca/internal/core"
	"daca/internal/host"
	"daca/internal/local"
)

// Event is one that was published.
type Event struct {
	Actor, Topic string
	Data         []byte
}

// Sent is a one-way call of a binding.
type Sent struct {
	Actor, Binding, Operation string
	Data                      []byte
	Metadata                  map[string]string
}

// Line is a line of the log.
type Line struct {
	// Level is `trace`, `debug`, `info`, `warn` or `error`.
	Level, Message string
}

// Host is a host with one agent type. Set what it gives to the agent before the first call; all else is denied.
type Host struct {
	// Type is the name of the agent type.
	Type string
	// Settings are those of the agent type.
	Settings map[string]string
	// Secrets are values by key, by the name of the secret.
	Secrets map[string]map[string]string
	// Bindings answer what agents invoke. What agents send needs none.
	Bindings map[string]func(operation string, data []byte, metadata map[string]string) ([]byte, error)
	// Actors answer for other agent types. The reply is JSON.
	Actors map[string]func(id, method string, payload []byte) (any, error)

	// Events, Sent and Logged are in the order of the commits.
	Events []Event
	Sent   []Sent
	Logged []Line

	definition *core.Definition
	actors     map[string]*Actor
	now        time.Time
	turns      int
}

// New starts a host for the agent that a `main` defines.
func New(t testing.TB, main func()) *Host {
	t.Helper()
	h := &Host{Type: "Agent", actors: map[string]*Actor{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	local.Take = func(definition *core.Definition, err error) {
		if err != nil {
			t.Fatal("daca: ", err)
		}
		h.definition = definition
	}
	defer func() { local.Take = nil }()
	main()
	if h.definition == nil {
		t.Fatal("daca: this main does not call daca.Agent")
	}
	return h
}

// Now is the time of the host. The agent's own time.Now is that of the machine.
func (h *Host) Now() time.Time { return h.now }

// Actor is the actor of an id. It is made at its first use.
func (h *Host) Actor(id string) *Actor {
	if h.actors[id] == nil {
		h.actors[id] = &Actor{host: h, id: id, stored: map[string]stored{}, wakeUps: map[wakeUpName]*wakeUp{}}
	}
	return h.actors[id]
}

// Advance moves the clock, and fires the reminders and timers that become due, in their order. It returns the errors of
// their turns. A reminder whose turn fails is retried as time passes.
func (h *Host) Advance(d time.Duration) []error {
	until := h.now.Add(d)
	var errs []error
	for {
		var next *wakeUp
		for _, actor := range h.actors {
			for _, w := range actor.wakeUps {
				if !w.at.After(until) && (next == nil || w.before(next)) {
					next = w
				}
			}
		}
		if next == nil {
			h.now = until
			return errs
		}
		if next.at.After(h.now) {
			h.now = next.at
		}
		if err := next.fire(); err != nil {
			errs = append(errs, err)
		}
	}
}

// Actor is one actor of a host.
type Actor struct {
	host       *Host
	id         string
	stored     map[string]stored
	wakeUps    map[wakeUpName]*wakeUp
	activation *core.Activation
}

type stored struct {
	data []byte
	// until is when it expires, or zero.
	until time.Time
}

// Call calls a method, as a route does. The payload is JSON; nil sends none. The reply is read into what a pointer points
// to; nil drops it. An error is a [daca.Failure].
func (a *Actor) Call(method string, payload, reply any) error {
	var data []byte
	if payload != nil {
		var err error
		if data, err = core.Encode(payload); err != nil {
			return err
		}
	}
	var text []byte
	err := a.turn(nil, func(activation *core.Activation) (failure *core.Failure) {
		text, failure = activation.Invoke(method, data)
		return failure
	})
	if err != nil || reply == nil {
		return err
	}
	return core.Decode(text, reply)
}

// State reads a committed value into what a pointer points to, and returns whether there is one.
func (a *Actor) State(key string, value any) (bool, error) {
	found, ok := a.committed(key)
	if !ok {
		return false, nil
	}
	return true, core.Decode(found, value)
}

// SetState writes state as if an earlier turn had.
func (a *Actor) SetState(key string, value any) error {
	data, err := core.Encode(value)
	if err == nil {
		a.stored[key] = stored{data: data}
	}
	return err
}

// Reminders are the names of the registered reminders, in order.
func (a *Actor) Reminders() []string { return a.names(host.Reminder) }

// Timers are the names of the registered timers, in order.
func (a *Actor) Timers() []string { return a.names(host.Timer) }

func (a *Actor) names(kind host.Kind) []string {
	names := []string{}
	for name := range a.wakeUps {
		if name.kind == kind {
			names = append(names, name.name)
		}
	}
	slices.Sort(names)
	return names
}

// Deactivate ends the activation: the instance and the timers are gone, state and reminders stay.
func (a *Actor) Deactivate() error {
	var err error
	if a.activation != nil {
		err = a.turn(nil, (*core.Activation).Deactivate)
	}
	a.activation = nil
	for name := range a.wakeUps {
		if name.kind == host.Timer {
			delete(a.wakeUps, name)
		}
	}
	return err
}

// EffectFailed tells the actor that one of its effects has failed for good.
func (a *Actor) EffectFailed(effect daca.FailedEffect, reason *daca.HostError) error {
	return a.turn(nil, func(activation *core.Activation) *core.Failure {
		return activation.OnEffectFailed(effect, reason)
	})
}

// Migrate has the actor migrate its state, as in its first turn on this version of the agent.
func (a *Actor) Migrate(from string) error {
	state := core.Migration{}
	keys, failure := a.host.definition.KeysOf(from)
	if failure != nil {
		return failure
	}
	for _, key := range keys {
		if data, ok := a.committed(key); ok {
			state[key] = data
		}
	}
	if len(state) == 0 {
		return nil
	}
	if failure = core.NewActivation(a.host.definition).Migrate(from, state); failure != nil {
		return failure
	}
	for _, key := range keys {
		delete(a.stored, key)
	}
	for key, data := range state {
		a.stored[key] = stored{data: data}
	}
	return nil
}

func (a *Actor) committed(key string) ([]byte, bool) {
	found, ok := a.stored[key]
	if !ok || !found.until.IsZero() && !found.until.After(a.host.now) {
		return nil, false
	}
	return found.data, true
}

// turn runs a call, after `Activate` in a new instance, and keeps what it did if it succeeds. A turn for a wake-up says
// which one fired.
func (a *Actor) turn(fired *wakeUp, call func(*core.Activation) *core.Failure) error {
	a.host.turns++
	t := &turn{actor: a, number: a.host.turns, fired: fired}
	t.writes, t.wakeUps = map[string]*stored{}, map[wakeUpName]*wakeUp{}
	defer host.Set(t)()
	var failure *core.Failure
	if a.activation == nil {
		a.activation = core.NewActivation(a.host.definition)
		failure = a.activation.Activate()
	}
	if failure == nil {
		failure = call(a.activation)
	}
	a.host.Logged = append(a.host.Logged, t.lines...)
	if failure != nil {
		a.activation = nil
		return failure
	}
	t.commit()
	return nil
}
