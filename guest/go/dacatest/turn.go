//go:build !wasip1

package dacatest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"daca/internal/core"
	"daca/internal/host"
)

// turn is what one turn has staged: the host that the agent's calls go to.
type turn struct {
	actor   *Actor
	number  int
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
	at, end  time.Time
}

func (w *wakeUp) before(other *wakeUp) bool {
	if !w.at.Equal(other.at) {
		return w.at.Before(other.at)
	}
	// The order of a map is another one each time, and a test's must not be.
	return w.actor.id+"/"+w.name < other.actor.id+"/"+other.name
}

// fire runs the turn of a wake-up. A period that was changed by that turn is kept.
func (w *wakeUp) fire() error {
	if w.schedule.Period == nil {
		delete(w.actor.wakeUps, w.wakeUpName)
	} else {
		w.at = w.at.Add(milliseconds(*w.schedule.Period))
		if !w.end.IsZero() && !w.at.Before(w.end) {
			delete(w.actor.wakeUps, w.wakeUpName)
		}
	}
	return w.actor.turn(func(activation *core.Activation) *core.Failure {
		if w.kind == host.Reminder {
			return activation.OnReminder(w.name, w.data)
		}
		return activation.OnTimer(w.name, w.data)
	})
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
	if err := checkKey(key); err != nil {
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
	if err := checkKey(key); err != nil {
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
	if err := checkKey(key); err != nil {
		return err
	}
	t.writes[key] = nil
	return nil
}

func checkKey(key string) error {
	if key == "" || strings.Contains(key, "||") || strings.HasPrefix(key, "daca:") {
		return rejected(host.Invalid, "the key %q", key)
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
	if err != nil {
		return nil, err
	}
	return json.Marshal(reply)
}

func (t *turn) Register(kind host.Kind, name string, schedule host.Schedule, data []byte) error {
	if strings.HasPrefix(name, "daca:") {
		return rejected(host.Invalid, "the name %s is reserved", name)
	}
	if schedule.Period != nil && *schedule.Period == 0 {
		return rejected(host.Invalid, "a period of 0")
	}
	w := &wakeUp{wakeUpName: wakeUpName{kind, name}, actor: t.actor, schedule: schedule, data: slices.Clone(data)}
	w.at = t.actor.host.now.Add(milliseconds(schedule.Due))
	if schedule.TTL != nil {
		w.end = t.actor.host.now.Add(milliseconds(*schedule.TTL))
	}
	t.wakeUps[w.wakeUpName] = w
	return nil
}

func (t *turn) Unregister(kind host.Kind, name string) error {
	t.wakeUps[wakeUpName{kind, name}] = nil
	return nil
}

func (t *turn) Registered(kind host.Kind, name string) (*host.WakeUp, error) {
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
