package host

import (
	"runtime"
	"unsafe"
)

var into = unsafe.Pointer(&answer)

// rejected is the error of an answer whose case lies at an offset, or nil.
func rejected(offset uintptr) error {
	if answer[0]&0xff == 0 {
		return nil
	}
	code := Other
	if number := word(&answer, offset) & 0xff; int(number) < len(Codes) {
		code = Codes[number]
	}
	err := &Error{code, Text(word(&answer, offset+4), word(&answer, offset+8))}
	Release()
	return err
}

// unreadable is the error of an answer of `wasi:config`, or nil.
func unreadable() error {
	if answer[0]&0xff == 0 {
		return nil
	}
	code := Other
	if word(&answer, 4)&0xff == 1 {
		code = Unavailable
	}
	err := &Error{code, Text(word(&answer, 8), word(&answer, 12))}
	Release()
	return err
}

func textAt(offset uintptr) string {
	text := Text(word(&answer, offset), word(&answer, offset+4))
	Release()
	return text
}

func bytesAt(offset uintptr) []byte {
	bytes := Bytes(word(&answer, offset), word(&answer, offset+4))
	Release()
	return bytes
}

func pairsAt(offset uintptr) []Pair {
	pairs := Pairs(word(&answer, offset), word(&answer, offset+4))
	Release()
	return pairs
}

// AgentType is `identity.agent-type`.
func AgentType() string { identityAgentType(into); return textAt(0) }

// ActorID is `identity.actor-id`.
func ActorID() string { identityActorID(into); return textAt(0) }

// TurnID is `identity.turn-id`.
func TurnID() string { identityTurnID(into); return textAt(0) }

// StateGet is `state.get`; nil when there is no such key.
func StateGet(key string) ([]byte, error) {
	stateGet(textOf(key), uint32(len(key)), into)
	if err := rejected(4); err != nil || word(&answer, 4)&0xff == 0 {
		return nil, err
	}
	return bytesAt(8), nil
}

// StateGetMany is `state.get-many`; nil for keys that do not exist.
func StateGetMany(keys []string) ([][]byte, error) {
	spans := make([]span, len(keys))
	for i, key := range keys {
		spans[i] = spanOf(key)
	}
	stateGetMany(unsafe.Pointer(unsafe.SliceData(spans)), uint32(len(spans)), into)
	runtime.KeepAlive(keys)
	if err := rejected(4); err != nil {
		return nil, err
	}
	words := Words(word(&answer, 4), word(&answer, 8), 3)
	values := make([][]byte, 0, len(keys))
	for ; len(words) > 0; words = words[3:] {
		var value []byte
		if words[0]&0xff != 0 {
			value = Bytes(words[1], words[2])
		}
		values = append(values, value)
	}
	Release()
	return values, nil
}

// StateSet is `state.set`.
func StateSet(key string, value []byte, ttl *uint32) error {
	var hasTTL, seconds uint32
	if ttl != nil {
		hasTTL, seconds = 1, *ttl
	}
	stateSet(textOf(key), uint32(len(key)), dataOf(value), uint32(len(value)), hasTTL, seconds, into)
	return rejected(4)
}

// StateDelete is `state.delete`.
func StateDelete(key string) error {
	stateDelete(textOf(key), uint32(len(key)), into)
	return rejected(4)
}

// Publish is `pubsub.publish`.
func Publish(pubsub, topic string, event []byte) (uint32, error) {
	pubsubPublish(textOf(pubsub), uint32(len(pubsub)), textOf(topic), uint32(len(topic)), dataOf(event), uint32(len(event)), into)
	return word(&answer, 4), rejected(4)
}

func spansOf(pairs []Pair) []([2]span) {
	spans := make([][2]span, len(pairs))
	for i, pair := range pairs {
		spans[i] = [2]span{spanOf(pair.Name), spanOf(pair.Value)}
	}
	return spans
}

// BindingInvoke is `bindings.invoke`.
func BindingInvoke(name, operation string, data []byte, metadata []Pair) (Response, error) {
	spans := spansOf(metadata)
	bindingsInvoke(textOf(name), uint32(len(name)), textOf(operation), uint32(len(operation)), dataOf(data), uint32(len(data)),
		unsafe.Pointer(unsafe.SliceData(spans)), uint32(len(spans)), into)
	runtime.KeepAlive(metadata)
	if err := rejected(4); err != nil {
		return Response{}, err
	}
	response := Response{Bytes(word(&answer, 4), word(&answer, 8)), Pairs(word(&answer, 12), word(&answer, 16))}
	Release()
	return response, nil
}

// BindingSend is `bindings.send`.
func BindingSend(name, operation string, data []byte, metadata []Pair) (uint32, error) {
	spans := spansOf(metadata)
	bindingsSend(textOf(name), uint32(len(name)), textOf(operation), uint32(len(operation)), dataOf(data), uint32(len(data)),
		unsafe.Pointer(unsafe.SliceData(spans)), uint32(len(spans)), into)
	runtime.KeepAlive(metadata)
	return word(&answer, 4), rejected(4)
}

// LogOutcome is `effects.log-outcome`.
func LogOutcome(effect uint32, delivered, undeliverable string) error {
	effectsLogOutcome(effect, textOf(delivered), uint32(len(delivered)), textOf(undeliverable), uint32(len(undeliverable)), into)
	return rejected(4)
}

// ActorInvoke is `actors.invoke`.
func ActorInvoke(agentType, id, method string, payload []byte) ([]byte, error) {
	actorsInvoke(textOf(agentType), uint32(len(agentType)), textOf(id), uint32(len(id)), textOf(method), uint32(len(method)),
		dataOf(payload), uint32(len(payload)), into)
	if err := rejected(4); err != nil {
		return nil, err
	}
	return bytesAt(4), nil
}

func option(value *uint64) (uint32, uint64) {
	if value == nil {
		return 0, 0
	}
	return 1, *value
}

// wakeUp is the answer to `get` of reminders and timers.
func wakeUp() (*WakeUp, error) {
	if err := rejected(8); err != nil || word(&answer, 8)&0xff == 0 {
		return nil, err
	}
	record := unsafe.Add(unsafe.Pointer(&answer), 16)
	found := &WakeUp{Schedule: Schedule{Due: wide(record, 8)}}
	if wide(record, 16)&0xff != 0 {
		period := wide(record, 24)
		found.Schedule.Period = &period
	}
	if wide(record, 32)&0xff != 0 {
		ttl := wide(record, 40)
		found.Schedule.TTL = &ttl
	}
	found.Data = bytesAt(16)
	return found, nil
}

// ReminderRegister is `reminders.register`.
func ReminderRegister(name string, schedule Schedule, data []byte) error {
	hasPeriod, period := option(schedule.Period)
	hasTTL, ttl := option(schedule.TTL)
	remindersRegister(textOf(name), uint32(len(name)), schedule.Due, hasPeriod, period, hasTTL, ttl, dataOf(data), uint32(len(data)), into)
	return rejected(4)
}

// ReminderUnregister is `reminders.unregister`.
func ReminderUnregister(name string) error {
	remindersUnregister(textOf(name), uint32(len(name)), into)
	return rejected(4)
}

// ReminderGet is `reminders.get`; nil when there is none.
func ReminderGet(name string) (*WakeUp, error) {
	remindersGet(textOf(name), uint32(len(name)), into)
	return wakeUp()
}

// TimerRegister is `timers.register`.
func TimerRegister(name string, schedule Schedule, data []byte) error {
	hasPeriod, period := option(schedule.Period)
	hasTTL, ttl := option(schedule.TTL)
	timersRegister(textOf(name), uint32(len(name)), schedule.Due, hasPeriod, period, hasTTL, ttl, dataOf(data), uint32(len(data)), into)
	return rejected(4)
}

// TimerUnregister is `timers.unregister`.
func TimerUnregister(name string) error {
	timersUnregister(textOf(name), uint32(len(name)), into)
	return rejected(4)
}

// TimerGet is `timers.get`; nil when there is none.
func TimerGet(name string) (*WakeUp, error) {
	timersGet(textOf(name), uint32(len(name)), into)
	return wakeUp()
}

// SecretGet is `secrets.get`.
func SecretGet(name string) ([]Pair, error) {
	secretsGet(textOf(name), uint32(len(name)), into)
	if err := rejected(4); err != nil {
		return nil, err
	}
	return pairsAt(4), nil
}

// ConfigGet is `store.get` of wasi:config; nil when there is no such setting.
func ConfigGet(key string) (*string, error) {
	configGet(textOf(key), uint32(len(key)), into)
	if err := unreadable(); err != nil || word(&answer, 4)&0xff == 0 {
		return nil, err
	}
	text := textAt(8)
	return &text, nil
}

// ConfigGetAll is `store.get-all` of wasi:config.
func ConfigGetAll() ([]Pair, error) {
	configGetAll(into)
	if err := unreadable(); err != nil {
		return nil, err
	}
	return pairsAt(4), nil
}

// Log is `logging.log` of wasi:logging.
func Log(level Level, context, message string) {
	loggingLog(uint32(level), textOf(context), uint32(len(context)), textOf(message), uint32(len(message)))
}
