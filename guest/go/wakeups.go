package daca

import (
	"fmt"
	"time"

	"daca/internal/core"
	"daca/internal/host"
)

// Schedule says when a reminder or timer fires, counted from the commit of this turn, in whole milliseconds.
type Schedule struct {
	// Due is the time to the first firing. 0 fires at once.
	Due time.Duration
	// Period is the time from one firing to the next. 0: it fires once.
	Period time.Duration
	// TTL is the time after which it no longer fires. 0: there is no limit.
	TTL time.Duration
}

// WakeUp is a registered reminder or timer.
type WakeUp struct {
	Schedule Schedule
	Data     Data
}

type reminders struct{}
type timers struct{}

// Reminders are durable: they fire until they are unregistered, have fired once (without a period), or their time to
// live is over. The agent needs the hook OnReminder.
var Reminders reminders

// Timers last while the actor is active. The agent needs the hook OnTimer.
var Timers timers

// Register stages a reminder, which carries data. It replaces one of the same name.
func (reminders) Register(name string, when Schedule, data any) error {
	return register(host.ReminderRegister, name, when, data)
}

// Unregister stages the removal of a reminder.
func (reminders) Unregister(name string) error { return host.ReminderUnregister(name) }

// Get is the reminder of a name, or nil.
func (reminders) Get(name string) (*WakeUp, error) { return registered(host.ReminderGet(name)) }

// Register stages a timer, which carries data. It replaces one of the same name.
func (timers) Register(name string, when Schedule, data any) error {
	return register(host.TimerRegister, name, when, data)
}

// Unregister stages the removal of a timer.
func (timers) Unregister(name string) error { return host.TimerUnregister(name) }

// Get is the timer of a name, or nil.
func (timers) Get(name string) (*WakeUp, error) { return registered(host.TimerGet(name)) }

func register(ask func(string, host.Schedule, []byte) error, name string, when Schedule, data any) error {
	if when.Due < 0 || when.Period < 0 || when.TTL < 0 {
		return fmt.Errorf("the wake-up %s: a time of its schedule is negative", name)
	}
	var bytes []byte
	if data != nil {
		var err error
		if bytes, err = core.Encode(data); err != nil {
			return fmt.Errorf("the data of the wake-up %s: %w", name, err)
		}
	}
	schedule := host.Schedule{Due: uint64(when.Due.Milliseconds()), Period: milliseconds(when.Period), TTL: milliseconds(when.TTL)}
	return ask(name, schedule, bytes)
}

func milliseconds(d time.Duration) *uint64 {
	if d == 0 {
		return nil
	}
	ms := uint64(d.Milliseconds())
	return &ms
}

func registered(found *host.WakeUp, err error) (*WakeUp, error) {
	if err != nil || found == nil {
		return nil, err
	}
	when := Schedule{duration(&found.Schedule.Due), duration(found.Schedule.Period), duration(found.Schedule.TTL)}
	return &WakeUp{when, found.Data}, nil
}

func duration(ms *uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	if ms == nil {
		return 0
	}
	return time.Duration(min(*ms, most)) * time.Millisecond
}
