//go:build !wasip1

package host

// Host is a host in memory: what a test runs an agent on.
type Host interface {
	AgentType() string
	ActorID() string
	TurnID() string
	StateGet(key string) ([]byte, error)
	StateSet(key string, value []byte, ttl *uint32) error
	StateDelete(key string) error
	Publish(pubsub, topic string, event []byte) (uint32, error)
	BindingInvoke(name, operation string, data []byte, metadata []Pair) (Response, error)
	BindingSend(name, operation string, data []byte, metadata []Pair) (uint32, error)
	LogOutcome(effect uint32, delivered, undeliverable string) error
	ActorInvoke(agentType, id, method string, payload []byte) ([]byte, error)
	Register(kind Kind, name string, schedule Schedule, data []byte) error
	Unregister(kind Kind, name string) error
	Registered(kind Kind, name string) (*WakeUp, error)
	Secret(name string) ([]Pair, error)
	Settings() ([]Pair, error)
	Log(level Level, context, message string)
}

// Kind is what wakes an actor up.
type Kind string

// The two kinds.
const (
	Reminder Kind = "reminder"
	Timer    Kind = "timer"
)

var current Host

// Set makes a host the one that the agent's calls go to, and returns what undoes it.
func Set(host Host) (undo func()) {
	before := current
	current = host
	return func() { current = before }
}

func running() Host {
	if current == nil {
		panic("this runs outside of a turn: an agent has a host only in its methods and hooks. In a test, call it with dacatest")
	}
	return current
}

func AgentType() string { return running().AgentType() }
func ActorID() string   { return running().ActorID() }
func TurnID() string    { return running().TurnID() }

func StateGet(key string) ([]byte, error) { return running().StateGet(key) }
func StateGetMany(keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, err := running().StateGet(key)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}
func StateSet(key string, value []byte, ttl *uint32) error {
	return running().StateSet(key, value, ttl)
}
func StateDelete(key string) error { return running().StateDelete(key) }

func Publish(pubsub, topic string, event []byte) (uint32, error) {
	return running().Publish(pubsub, topic, event)
}
func BindingInvoke(name, operation string, data []byte, metadata []Pair) (Response, error) {
	return running().BindingInvoke(name, operation, data, metadata)
}
func BindingSend(name, operation string, data []byte, metadata []Pair) (uint32, error) {
	return running().BindingSend(name, operation, data, metadata)
}
func LogOutcome(effect uint32, delivered, undeliverable string) error {
	return running().LogOutcome(effect, delivered, undeliverable)
}
func ActorInvoke(agentType, id, method string, payload []byte) ([]byte, error) {
	return running().ActorInvoke(agentType, id, method, payload)
}

func ReminderRegister(name string, schedule Schedule, data []byte) error {
	return running().Register(Reminder, name, schedule, data)
}
func ReminderUnregister(name string) error     { return running().Unregister(Reminder, name) }
func ReminderGet(name string) (*WakeUp, error) { return running().Registered(Reminder, name) }
func TimerRegister(name string, schedule Schedule, data []byte) error {
	return running().Register(Timer, name, schedule, data)
}
func TimerUnregister(name string) error     { return running().Unregister(Timer, name) }
func TimerGet(name string) (*WakeUp, error) { return running().Registered(Timer, name) }

func SecretGet(name string) ([]Pair, error) { return running().Secret(name) }
func ConfigGet(key string) (*string, error) {
	settings, err := running().Settings()
	for _, setting := range settings {
		if setting.Name == key {
			return &setting.Value, nil
		}
	}
	return nil, err
}
func ConfigGetAll() ([]Pair, error)            { return running().Settings() }
func Log(level Level, context, message string) { running().Log(level, context, message) }
