// The agent of the conformance cases in Go. What each method does is in ../README.md.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"daca"
)

const (
	activations   = daca.Key[int]("activations")
	deactivations = daca.Key[int]("deactivations")
	fired         = daca.Key[[]firing]("fired")
	failed        = daca.Key[[]failedEffect]("failed")
)

// firing is one that was recorded.
type firing struct {
	Kind string          `json:"kind"`
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// failedEffect is an effect that was given up, as it was recorded.
type failedEffect struct {
	Kind     string `json:"kind"`
	Target   string `json:"target"`
	Data     string `json:"data"`
	Attempts uint32 `json:"attempts"`
	Reason   reason `json:"reason"`
}

type reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// raw is a key whose value is JSON as it was written.
func raw(key string) daca.Key[json.RawMessage] { return daca.Key[json.RawMessage](key) }

// Conformance is one actor. What is in memory lasts as long as the instance.
type Conformance struct {
	calls int
	held  [][]byte
}

// answer is the value, or what the host rejected: the turn ends well then.
func answer(value any, err error) (any, error) {
	var rejected *daca.HostError
	if errors.As(err, &rejected) {
		return map[string]string{"error": string(rejected.Code)}, nil
	}
	return value, err
}

// ---- Hooks.

func (c *Conformance) Activate() error   { return increment(activations) }
func (c *Conformance) Deactivate() error { return increment(deactivations) }

func increment(key daca.Key[int]) error {
	count, err := key.GetOr(0)
	if err != nil {
		return err
	}
	return key.Set(count + 1)
}

func (c *Conformance) OnReminder(name string, data daca.Data) error {
	return record("reminder", name, data)
}
func (c *Conformance) OnTimer(name string, data daca.Data) error { return record("timer", name, data) }

// record records a firing. Data with `fails_without` fails as long as the state has no such key.
func record(kind, name string, data daca.Data) error {
	var value json.RawMessage
	if err := data.Into(&value); err != nil {
		return err
	}
	var needs struct {
		Key string `json:"fails_without"`
	}
	// What is no object needs nothing.
	if json.Unmarshal(value, &needs) == nil && needs.Key != "" {
		found, err := raw(needs.Key).Bytes()
		if err != nil {
			return err
		}
		if found == nil {
			return daca.Failed("the %s %s waits for the key %s", kind, name, needs.Key)
		}
	}
	all, err := fired.GetOr(nil)
	if err != nil {
		return err
	}
	return fired.Set(append(all, firing{kind, name, value}))
}

func (c *Conformance) OnEffectFailed(effect daca.FailedEffect, why *daca.HostError) error {
	record := failedEffect{Attempts: effect.Attempts, Reason: reason{string(why.Code), why.Message}}
	if event := effect.Event; event != nil {
		record.Kind, record.Target, record.Data = "publish", event.Topic, string(event.Data)
	} else {
		sent := effect.Sent
		record.Kind, record.Target, record.Data = "send", sent.Binding+"/"+sent.Operation, string(sent.Data)
	}
	all, err := failed.GetOr(nil)
	if err != nil {
		return err
	}
	return failed.Set(append(all, record))
}

func (c *Conformance) Migrate(state daca.Migration, from string) error {
	var value json.RawMessage
	if before, ok := state["migrated"]; ok {
		value = json.RawMessage(before)
	}
	return state.Set("migrated", map[string]any{"from": from, "value": value})
}

// ---- State.

type write struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	TTL   *int            `json:"ttl"`
}

type name struct {
	Key  string `json:"key"`
	Name string `json:"name"`
}

func (c *Conformance) Set(it write) (any, error) {
	if it.TTL != nil {
		return answer(nil, raw(it.Key).SetFor(it.Value, time.Duration(*it.TTL)*time.Second))
	}
	return answer(nil, raw(it.Key).Set(it.Value))
}

func (c *Conformance) Get(it name) (any, error) {
	value, _, err := raw(it.Key).Get()
	return answer(value, err)
}

func (c *Conformance) GetMany(it struct{ Keys []daca.Key[json.RawMessage] }) (any, error) {
	values, err := daca.GetMany(it.Keys...)
	return answer(values, err)
}

func (c *Conformance) Delete(it name) (any, error) { return answer(nil, raw(it.Key).Delete()) }

func (c *Conformance) ReadOwnWrites(it write) (any, error) {
	return answer(readOwnWrites(raw(it.Key), it.Value))
}

func readOwnWrites(key daca.Key[json.RawMessage], value json.RawMessage) (any, error) {
	if err := key.Set(value); err != nil {
		return nil, err
	}
	first, _, err := key.Get()
	if err != nil {
		return nil, err
	}
	if err := key.Delete(); err != nil {
		return nil, err
	}
	deleted, _, err := key.Get()
	if err != nil {
		return nil, err
	}
	if err := key.Set(value); err != nil {
		return nil, err
	}
	again, err := daca.GetMany(key)
	if err != nil {
		return nil, err
	}
	return []any{first, deleted, again[0]}, nil
}

// ---- Payloads and replies.

func (c *Conformance) Echo(payload json.RawMessage) json.RawMessage { return payload }

func (c *Conformance) Optional(payload *json.RawMessage) any {
	if payload == nil {
		return "none"
	}
	return *payload
}

func (c *Conformance) Nothing() {}

type text struct {
	Text string `json:"text"`
}

func (c *Conformance) Length(it text) map[string]int {
	return map[string]int{"characters": utf8.RuneCountInString(it.Text), "bytes": len(it.Text)}
}

func (c *Conformance) Repeat(it text) string { return strings.Repeat(it.Text, 100) }

func (c *Conformance) Sum(it struct{ A, B string }) (string, error) {
	a, isNumber := new(big.Int).SetString(it.A, 10)
	b, areNumbers := new(big.Int).SetString(it.B, 10)
	if !isNumber || !areNumbers {
		return "", daca.Invalid("a or b is no whole number")
	}
	return a.Add(a, b).String(), nil
}

// ---- Turns that do not end well.

func failure(kind, message string) error {
	switch kind {
	case "invalid":
		return daca.Invalid("%s", message)
	case "not-found":
		return daca.NotFound("%s", message)
	}
	return daca.Failed("%s", message)
}

func (c *Conformance) Fail(it struct{ Case, Message string }) error {
	return failure(it.Case, it.Message)
}

func (c *Conformance) Throw(it struct{ Message string }) { panic(it.Message) }

func (c *Conformance) Stage(it struct {
	Key    string
	Value  json.RawMessage
	Ending string
}) (string, error) {
	if err := stage(it.Key, it.Value); err != nil {
		return "", err
	}
	switch it.Ending {
	case "well":
		return "well", nil
	case "throw":
		panic("as it was told")
	}
	return "", failure(it.Ending, "as it was told")
}

// stage stages one of everything that can be staged.
func stage(key string, value json.RawMessage) error {
	_, published := daca.Publish("daca-pubsub/conformance", value)
	_, sent := daca.Send("outbox", "create", "staged", nil)
	return errors.Join(raw(key).Set(value), published, sent,
		daca.Reminders.Register("staged", daca.Schedule{}, value), daca.Timers.Register("staged", daca.Schedule{}, value))
}

func (c *Conformance) Hold(it struct{ Mebibytes int }) int {
	block := make([]byte, it.Mebibytes<<20)
	for i := range block {
		block[i] = 1
	}
	c.held = append(c.held, block)
	return len(c.held)
}

func (c *Conformance) Spin() {
	for {
	}
}

func (c *Conformance) Awaits(it struct{ Count int }) int {
	ready := make(chan int, 1)
	waited := 0
	for range it.Count {
		ready <- 1
		waited += <-ready
	}
	return waited
}

// ---- Effects, and what acts at once.

type binding struct {
	Binding, Operation, Data string
	Metadata                 map[string]string
}

func (c *Conformance) Publish(it struct {
	Topic     string
	Event     json.RawMessage
	Delivered *string
}) (any, error) {
	effect, err := daca.Publish(it.Topic, it.Event)
	if err == nil && it.Delivered != nil {
		err = effect.LogOutcome(*it.Delivered, "undeliverable")
	}
	return answer(nil, err)
}

func (c *Conformance) Send(it binding) (any, error) {
	_, err := daca.Send(it.Binding, it.Operation, it.Data, it.Metadata)
	return answer(nil, err)
}

func (c *Conformance) InvokeBinding(it binding) (any, error) {
	response, err := daca.InvokeBinding(it.Binding, it.Operation, it.Data, it.Metadata)
	return answer(string(response.Data), err)
}

func (c *Conformance) CallActor(it struct {
	Type, ID, Method string
	Payload          json.RawMessage
}) (any, error) {
	reply, err := daca.Call[json.RawMessage](it.Type, it.ID, it.Method, it.Payload)
	return answer(reply, err)
}

func (c *Conformance) FailedEffects() (any, error) { return answer(failed.GetOr([]failedEffect{})) }

// ---- Reminders and timers.

// door is what reminders and timers have in common.
type door interface {
	Register(name string, when daca.Schedule, data any) error
	Unregister(name string) error
	Get(name string) (*daca.WakeUp, error)
}

type wake struct {
	Name   string          `json:"name"`
	Due    int64           `json:"due_ms"`
	Period *int64          `json:"period_ms"`
	TTL    *int64          `json:"ttl_ms"`
	Data   json.RawMessage `json:"data"`
}

func register(door door, it wake) (any, error) {
	if it.Period != nil && *it.Period == 0 {
		// To the SDK a period of 0 is none, so this one cannot be asked for.
		return map[string]string{"error": "invalid"}, nil
	}
	duration := func(ms *int64) time.Duration {
		if ms == nil {
			return 0
		}
		return time.Duration(*ms) * time.Millisecond
	}
	when := daca.Schedule{Due: duration(&it.Due), Period: duration(it.Period), TTL: duration(it.TTL)}
	return answer(nil, door.Register(it.Name, when, it.Data))
}

func registration(door door, name string) (any, error) {
	found, err := door.Get(name)
	if err != nil || found == nil {
		return answer(nil, err)
	}
	ms := func(d time.Duration) *int64 {
		if d == 0 {
			return nil
		}
		value := d.Milliseconds()
		return &value
	}
	when := found.Schedule
	read := wake{Name: name, Due: when.Due.Milliseconds(), Period: ms(when.Period), TTL: ms(when.TTL)}
	return read, found.Data.Into(&read.Data)
}

func (c *Conformance) RegisterReminder(it wake) (any, error) { return register(daca.Reminders, it) }
func (c *Conformance) GetReminder(it name) (any, error)      { return registration(daca.Reminders, it.Name) }
func (c *Conformance) UnregisterReminder(it name) (any, error) {
	return answer(nil, daca.Reminders.Unregister(it.Name))
}
func (c *Conformance) RegisterTimer(it wake) (any, error) { return register(daca.Timers, it) }
func (c *Conformance) GetTimer(it name) (any, error)      { return registration(daca.Timers, it.Name) }
func (c *Conformance) UnregisterTimer(it name) (any, error) {
	return answer(nil, daca.Timers.Unregister(it.Name))
}

func (c *Conformance) Fired() (any, error) { return answer(fired.GetOr([]firing{})) }

// ---- What the host tells and is told.

func (c *Conformance) Activations() (map[string]int, error) {
	begun, err := activations.GetOr(0)
	if err != nil {
		return nil, err
	}
	ended, err := deactivations.GetOr(0)
	return map[string]int{"activations": begun, "deactivations": ended}, err
}

func (c *Conformance) Calls() int {
	c.calls++
	return c.calls
}

func (c *Conformance) WhoAmI() map[string]string {
	return map[string]string{"agent_type": daca.AgentType(), "actor_id": daca.ActorID(), "turn_id": daca.TurnID()}
}

func (c *Conformance) Setting(it name) (any, error) {
	const absent = "\x00"
	value, err := daca.Setting(it.Key, absent)
	if err == nil && value == absent {
		return nil, nil
	}
	return answer(value, err)
}

func (c *Conformance) Secret(it name) (any, error) { return answer(daca.Secret(it.Name)) }

func (c *Conformance) Log(it struct{ Level, Message string }) error {
	write := map[string]func(string, ...any){
		"debug": daca.Log.Debugf, "info": daca.Log.Infof, "warn": daca.Log.Warnf, "error": daca.Log.Errorf,
	}[it.Level]
	if write == nil {
		return daca.Invalid("there is no level %s", it.Level)
	}
	write("%s", it.Message)
	return nil
}

func (c *Conformance) Random() string { return fmt.Sprint(rand.Uint64()) }

func (c *Conformance) Clock() int64 { return time.Now().UnixMilli() }

func main() {
	daca.Agent[Conformance](daca.Schema("conformance-agents-schema-number-1", "migrated"))
}
