//go:build !wasip1

package dacatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"daca/internal/core"
	"daca/internal/host"
)

// turn is what one turn has staged: the host that the agent's calls go to.
type turn struct {
	actor  *Actor
	number int
	// fired is the wake-up that the turn is for, or nil.
	fired   *wakeUp
	writes  map[string]*stored
	wakeUps map[wakeUpName]*wakeUp
	effects []effect
	lines   []Line
}

// effect is an event or a sent binding, with the line for its delivery.
type effect struct {
	event     *Event
	sent      *Sent
	delivered string
}

type wakeUpName struct {
	kind host.Kind
	name string
}

type wakeUp struct {
	wakeUpName
	actor    *Actor
	schedule host.Schedule
	data     []byte
	// at is when it fires next, and planned when it would if no turn had failed.
	at, planned, end time.Time
	// failures are the attempts of this firing that have failed.
	failures int
}

// As the host retries a firing whose turn fails: the waits double, and with a period the attempts end.
const (
	firstWait   = 500 * time.Millisecond
	longestWait = time.Minute
	maxAttempts = 8
)

func (w *wakeUp) before(other *wakeUp) bool {
	if !w.at.Equal(other.at) {
		return w.at.Before(other.at)
	}
	// The order of a map is another one each time, and a test's must not be.
	return w.actor.id+"/"+w.name < other.actor.id+"/"+other.name
}

// fire runs the turn of a wake-up.
func (w *wakeUp) fire() error {
	err := w.actor.turn(w, func(activation *core.Activation) *core.Failure {
		if w.kind == host.Reminder {
			return activation.OnReminder(w.name, w.data)
		}
		return activation.OnTimer(w.name, w.data)
	})
	if err != nil && !w.firesAfterFailure() {
		delete(w.actor.wakeUps, w.wakeUpName)
	}
	return err
}

// firesAgain moves on after a firing, and returns true if there is another. Those that were missed are not made up for.
func (w *wakeUp) firesAgain() bool {
	if w.schedule.Period == nil {
		return false
	}
	period := milliseconds(*w.schedule.Period)
	missed := w.actor.host.now.Sub(w.planned) / period
	w.planned = w.planned.Add(period * (missed + 1))
	w.at, w.failures = w.planned, 0
	return w.end.IsZero() || !w.planned.After(w.end)
}

// firesAfterFailure is the same after a turn that failed. Only reminders are retried.
func (w *wakeUp) firesAfterFailure() bool {
	w.failures++
	if w.kind == host.Timer || w.schedule.Period != nil && w.failures >= maxAttempts {
		return w.firesAgain()
	}
	w.at = w.actor.host.now.Add(min(firstWait<<min(w.failures-1, 10), longestWait))
	return true
}

func milliseconds(ms uint64) time.Duration { return time.Duration(ms) * time.Millisecond }

func rejected(code host.Code, format string, values ...any) error {
	return &host.Error{Code: code, Message: fmt.Sprintf(format, values...)}
}

func denied(what string) error { return rejected(host.Denied, "%s is not given to this host", what) }

func (t *turn) AgentType() string { return t.actor.host.Type }
func (t *turn) ActorID() string   { return t.actor.id }
func (t *turn) TurnID() string    { return fmt.Sprintf("turn-%d", t.number) }

func (t *turn) StateGet(key string) ([]byte, error) {
	if err := checkName("key", key); err != nil {
		return nil, err
	}
	if write, ok := t.writes[key]; ok {
		if write == nil {
			return nil, nil
		}
		return slices.Clone(write.data), nil
	}
	data, _ := t.actor.committed(key)
	return slices.Clone(data), nil
}

func (t *turn) StateSet(key string, value []byte, ttl *uint32) error {
	if err := checkName("key", key); err != nil {
		return err
	}
	write := &stored{data: append([]byte{}, value...)}
	if ttl != nil {
		if *ttl == 0 {
			return rejected(host.Invalid, "a time to live of 0")
		}
		write.until = t.actor.host.now.Add(time.Duration(*ttl) * time.Second)
	}
	t.writes[key] = write
	return nil
}

func (t *turn) StateDelete(key string) error {
	if err := checkName("key", key); err != nil {
		return err
	}
	t.writes[key] = nil
	return nil
}

func checkName(what, name string) error {
	hasControl := strings.ContainsFunc(name, unicode.IsControl)
	if name == "" || strings.Contains(name, "||") || strings.HasPrefix(name, "daca:") || hasControl {
		return rejected(host.Invalid, "the %s %q", what, name)
	}
	return nil
}

func (t *turn) stage(e effect) (uint32, error) {
	t.effects = append(t.effects, e)
	return uint32(len(t.effects) - 1), nil
}

func (t *turn) Publish(pubsub, topic string, event []byte) (uint32, error) {
	return t.stage(effect{event: &Event{t.actor.id, pubsub + "/" + topic, slices.Clone(event)}})
}

func (t *turn) BindingSend(name, operation string, data []byte, metadata []host.Pair) (uint32, error) {
	return t.stage(effect{sent: &Sent{t.actor.id, name, operation, slices.Clone(data), table(metadata)}})
}

func (t *turn) BindingInvoke(name, operation string, data []byte, metadata []host.Pair) (host.Response, error) {
	answer := t.actor.host.Bindings[name]
	if answer == nil {
		return host.Response{}, denied("the binding " + name)
	}
	reply, err := answer(operation, data, table(metadata))
	return host.Response{Data: reply}, err
}

func (t *turn) LogOutcome(number uint32, delivered, _ string) error {
	if int(number) >= len(t.effects) {
		return rejected(host.NotFound, "this turn has no effect %d", number)
	}
	t.effects[number].delivered = delivered
	return nil
}

func (t *turn) ActorInvoke(agentType, id, method string, payload []byte) ([]byte, error) {
	answer := t.actor.host.Actors[agentType]
	if answer == nil {
		return nil, denied("the agent type " + agentType)
	}
	reply, err := answer(id, method, payload)
	var failure *core.Failure
	if errors.As(err, &failure) {
		return nil, rejected(codeOf(failure.Kind), "%s", err)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(reply)
}

// codeOf is how the host tells a caller what its callee has returned.
func codeOf(kind core.Kind) host.Code {
	switch kind {
	case core.Invalid:
		return host.Invalid
	case core.NotFound:
		return host.NotFound
	}
	return host.Other
}

func (t *turn) Register(kind host.Kind, name string, schedule host.Schedule, data []byte) error {
	if hook := t.missingHook(kind); hook != "" {
		return rejected(host.Invalid, "the agent has no %s", hook)
	}
	if schedule.Period != nil && *schedule.Period == 0 {
		return rejected(host.Invalid, "a period of 0")
	}
	if schedule.TTL != nil && *schedule.TTL < schedule.Due {
		return rejected(host.Invalid, "the time to live ends before it is due, so it could never fire")
	}
	if err := checkName("name", name); err != nil {
		return err
	}
	w := &wakeUp{wakeUpName: wakeUpName{kind, name}, actor: t.actor, schedule: schedule, data: slices.Clone(data)}
	w.planned = t.actor.host.now.Add(milliseconds(schedule.Due))
	w.at = w.planned
	if schedule.TTL != nil {
		w.end = t.actor.host.now.Add(milliseconds(*schedule.TTL))
	}
	t.wakeUps[w.wakeUpName] = w
	return nil
}

// missingHook is the hook that a wake-up of this kind calls, if the agent does not have it.
func (t *turn) missingHook(kind host.Kind) string {
	agent := t.actor.host.definition.New()
	_, isReminded := agent.(core.Reminded)
	_, isTimed := agent.(core.Timed)
	switch {
	case kind == host.Reminder && !isReminded:
		return "OnReminder"
	case kind == host.Timer && !isTimed:
		return "OnTimer"
	}
	return ""
}

func (t *turn) Unregister(kind host.Kind, name string) error {
	if err := checkName("name", name); err != nil {
		return err
	}
	t.wakeUps[wakeUpName{kind, name}] = nil
	return nil
}

func (t *turn) Registered(kind host.Kind, name string) (*host.WakeUp, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	found, staged := t.wakeUps[wakeUpName{kind, name}]
	if !staged {
		found = t.actor.wakeUps[wakeUpName{kind, name}]
	}
	if found == nil {
		return nil, nil
	}
	return &host.WakeUp{Data: slices.Clone(found.data), Schedule: found.schedule}, nil
}

func (t *turn) Secret(name string) ([]host.Pair, error) {
	values, ok := t.actor.host.Secrets[name]
	if !ok {
		return nil, denied("the secret " + name)
	}
	return pairs(values), nil
}

func (t *turn) Settings() ([]host.Pair, error) { return pairs(t.actor.host.Settings), nil }

func (t *turn) Log(level host.Level, _, message string) {
	names := []string{"trace", "debug", "info", "warn", "error", "critical"}
	t.lines = append(t.lines, Line{names[level], message})
}

func pairs(table map[string]string) []host.Pair {
	list := make([]host.Pair, 0, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		list = append(list, host.Pair{Name: name, Value: table[name]})
	}
	return list
}

func table(pairs []host.Pair) map[string]string {
	table := map[string]string{}
	for _, pair := range pairs {
		table[pair.Name] = pair.Value
	}
	return table
}

// commit keeps what the turn has staged.
func (t *turn) commit() {
	a := t.actor
	for key, write := range t.writes {
		if write == nil {
			delete(a.stored, key)
		} else {
			a.stored[key] = *write
		}
	}
	// Before what the turn itself has registered: that replaces it.
	if t.fired != nil && !t.fired.firesAgain() {
		delete(a.wakeUps, t.fired.wakeUpName)
	}
	for name, w := range t.wakeUps {
		if w == nil {
			delete(a.wakeUps, name)
		} else {
			a.wakeUps[name] = w
		}
	}
	for _, e := range t.effects {
		if e.event != nil {
			a.host.Events = append(a.host.Events, *e.event)
		} else {
			a.host.Sent = append(a.host.Sent, *e.sent)
		}
		if e.delivered != "" {
			a.host.Logged = append(a.host.Logged, Line{"info", e.delivered})
		}
	}
}
