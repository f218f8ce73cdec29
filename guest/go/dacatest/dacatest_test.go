package dacatest_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"daca"
	"daca/dacatest"
)

const sum = daca.Key[int]("sum")

// ledger has one of everything.
type ledger struct{ calls int }

func (l *ledger) Add(by int) (int, error) {
	l.calls++
	before, err := sum.GetOr(0)
	if err != nil {
		return 0, err
	}
	if err := sum.Set(before + by); err != nil {
		return 0, err
	}
	if _, err := daca.Publish("bus/added", map[string]int{"by": by}); err != nil {
		return 0, err
	}
	if by < 0 {
		return 0, daca.Invalid("%d is negative", by)
	}
	return before + by, nil
}

func (l *ledger) Echo(value any) any { return value }

func (l *ledger) Calls() int { return l.calls }

func (l *ledger) First(of []string) string { return of[0] }

func (l *ledger) Remind() error {
	return daca.Reminders.Register("tick", daca.Schedule{Due: time.Minute, Period: time.Minute, TTL: 3 * time.Minute}, 5)
}

func (l *ledger) Keep() error { return daca.Key[string]("short").SetFor("x", time.Second) }

func (l *ledger) Ask() (int, error) { return daca.Call[int]("Other", "x", "M", nil) }

func (l *ledger) OnReminder(name string, data daca.Data) error {
	var by int
	if err := data.Into(&by); err != nil {
		return err
	}
	_, err := l.Add(by)
	return err
}

func (l *ledger) Migrate(state daca.Migration, from string) error {
	var old int
	if err := state["count"].Into(&old); err != nil {
		return err
	}
	delete(state, "count")
	return state.Set("sum", old*10)
}

func main() { daca.Agent[ledger](daca.Schema("2", "count", "sum")) }

// alarm has wake-ups that fail until the state has the key `ready`.
type alarm struct{}

const (
	ready = daca.Key[bool]("ready")
	fired = daca.Key[[]string]("fired")
)

type registration struct {
	Name string
	When daca.Schedule
}

func (a *alarm) Remind(it registration) error { return daca.Reminders.Register(it.Name, it.When, nil) }

func (a *alarm) Time(it registration) error { return daca.Timers.Register(it.Name, it.When, nil) }

func (a *alarm) OnReminder(name string, data daca.Data) error { return a.fire(name) }

func (a *alarm) OnTimer(name string, data daca.Data) error { return a.fire(name) }

func (a *alarm) fire(name string) error {
	isReady, err := ready.GetOr(false)
	if err != nil {
		return err
	}
	if !isReady {
		return daca.Failed("%s is not ready", name)
	}
	all, err := fired.GetOr(nil)
	if err != nil {
		return err
	}
	return fired.Set(append(all, name))
}

func alarms() { daca.Agent[alarm]() }

// sleeper has no hooks.
type sleeper struct{}

func (s *sleeper) Remind() error {
	return daca.Reminders.Register("r", daca.Schedule{Due: time.Second}, nil)
}

func (s *sleeper) Time() error {
	return daca.Timers.Register("t", daca.Schedule{Due: time.Second}, nil)
}

func sleepers() { daca.Agent[sleeper]() }

// asker says how its call was rejected.
type asker struct{}

func (a *asker) Ask() (string, error) {
	_, err := daca.Call[int]("Other", "x", "M", nil)
	var rejected *daca.HostError
	if !errors.As(err, &rejected) {
		return "", err
	}
	return string(rejected.Code) + ": " + rejected.Message, nil
}

func askers() { daca.Agent[asker]() }

// message is an error's text.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestATurnIsAllOrNothing(t *testing.T) {
	host := dacatest.New(t, main)
	actor := host.Actor("a")
	var got int
	if err := actor.Call("Add", 2, &got); err != nil || got != 2 {
		t.Fatal(got, err)
	}
	err := actor.Call("Add", -1, nil)
	var failure *daca.Failure
	if !errors.As(err, &failure) || failure.Message != "-1 is negative" {
		t.Fatal(err)
	}
	if ok, err := actor.State("sum", &got); !ok || err != nil || got != 2 {
		t.Fatal(got, ok, err)
	}
	if len(host.Events) != 1 || string(host.Events[0].Data) != `{"by":2}` || host.Events[0].Topic != "bus/added" {
		t.Fatal(host.Events)
	}
	// The instance is gone with the failed turn.
	if err := actor.Call("Calls", nil, &got); err != nil || got != 0 {
		t.Fatal(got, err)
	}
}

func TestWhatCallersGetWrong(t *testing.T) {
	actor := dacatest.New(t, main).Actor("a")
	for _, one := range []struct {
		method  string
		payload any
		want    string
	}{
		{"add", 1, "there is no method `add`; the methods are Add, Ask, Calls, Echo, First, Keep, Remind"},
		{"Migrate", 1, "there is no method `Migrate`"},
		{"Add", "x", "Add cannot use this payload: json: cannot unmarshal string"},
		{"Add", nil, "Add cannot use this payload: there is no value"},
		{"Echo", json.RawMessage(strings.Repeat("[", 128) + strings.Repeat("]", 128)), "Echo cannot use this payload: its lists and"},
		{"Echo", json.RawMessage(`"\ud800"`), "Echo cannot use this payload: it is not JSON: it has half of a surrogate pair"},
		{"Echo", json.RawMessage(`{"\\\udc00": 1}`), "Echo cannot use this payload: it is not JSON: it has half"},
		{"Echo", json.RawMessage(`["\ud83dx"]`), "Echo cannot use this payload: it is not JSON: it has half"},
		{"First", []string{}, "panic: runtime error: index out of range [0] with length 0\n    at daca/dacatest_test.(*ledger).First ("},
	} {
		if err := actor.Call(one.method, one.payload, nil); !strings.HasPrefix(message(err), one.want) {
			t.Errorf("%s: %v", one.method, err)
		}
	}
}

func TestRemindersFireAsTimePasses(t *testing.T) {
	host := dacatest.New(t, main)
	actor := host.Actor("a")
	if err := actor.Call("Remind", nil, nil); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(time.Hour); errs != nil {
		t.Fatal(errs)
	}
	// The third time is the end of its time to live.
	var got int
	if _, err := actor.State("sum", &got); err != nil || got != 15 {
		t.Fatal(got, err)
	}
	if names := actor.Reminders(); !slices.Equal(names, []string{}) {
		t.Fatal(names)
	}
}

// expectFired fails the test unless these have fired, in this order.
func expectFired(t *testing.T, actor *dacatest.Actor, want ...string) {
	t.Helper()
	var got []string
	if _, err := actor.State("fired", &got); err != nil || !slices.Equal(got, want) {
		t.Fatal(got, err)
	}
}

func TestAReminderWhoseTurnFailsFiresAgain(t *testing.T) {
	host := dacatest.New(t, alarms)
	actor := host.Actor("a")
	if err := actor.Call("Remind", registration{"once", daca.Schedule{Due: time.Minute}}, nil); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(time.Minute); len(errs) != 1 || message(errs[0]) != "once is not ready" {
		t.Fatal(errs)
	}
	if names := actor.Reminders(); !slices.Equal(names, []string{"once"}) {
		t.Fatal(names)
	}
	if err := actor.SetState("ready", true); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(time.Second); errs != nil {
		t.Fatal(errs)
	}
	expectFired(t, actor, "once")
	if names := actor.Reminders(); !slices.Equal(names, []string{}) {
		t.Fatal(names)
	}
}

func TestAReminderWithAPeriodIsRetriedAFewTimesAndThenWaitsForItsNextTime(t *testing.T) {
	host := dacatest.New(t, alarms)
	actor := host.Actor("a")
	if err := actor.Call("Remind", registration{"often", daca.Schedule{Period: 10 * time.Minute}}, nil); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(599 * time.Second); len(errs) != 8 {
		t.Fatal(errs)
	}
	if err := actor.SetState("ready", true); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(time.Second); errs != nil {
		t.Fatal(errs)
	}
	expectFired(t, actor, "often")
}

func TestATimerWhoseTurnFailsIsNotRetried(t *testing.T) {
	host := dacatest.New(t, alarms)
	actor := host.Actor("a")
	for _, it := range []registration{
		{"once", daca.Schedule{Due: time.Second}},
		{"often", daca.Schedule{Due: time.Second, Period: 5 * time.Second}},
	} {
		if err := actor.Call("Time", it, nil); err != nil {
			t.Fatal(err)
		}
	}
	if errs := host.Advance(5 * time.Second); len(errs) != 2 {
		t.Fatal(errs)
	}
	if names := actor.Timers(); !slices.Equal(names, []string{"often"}) {
		t.Fatal(names)
	}
	if err := actor.SetState("ready", true); err != nil {
		t.Fatal(err)
	}
	if errs := host.Advance(time.Second); errs != nil {
		t.Fatal(errs)
	}
	expectFired(t, actor, "often")
}

func TestWhatTheHostDoesNotRegisterIsInvalid(t *testing.T) {
	for _, method := range []string{"Remind", "Time"} {
		actor := dacatest.New(t, alarms).Actor("a")
		for _, it := range []registration{
			{"r", daca.Schedule{Due: 2 * time.Second, TTL: time.Second}},
			{"", daca.Schedule{}},
			{"a||b", daca.Schedule{}},
			{"a\n", daca.Schedule{}},
			{"daca:r", daca.Schedule{}},
		} {
			if err := actor.Call(method, it, nil); !strings.HasPrefix(message(err), "invalid: ") {
				t.Errorf("%s %v: %v", method, it, err)
			}
		}
		if err := actor.Call(method, registration{"r", daca.Schedule{Due: time.Second, TTL: time.Second}}, nil); err != nil {
			t.Error(method, err)
		}
		err := dacatest.New(t, sleepers).Actor("a").Call(method, nil, nil)
		if !strings.HasPrefix(message(err), "invalid: the agent has no On") {
			t.Error(method, err)
		}
	}
}

func TestStateExpiresAndMigrates(t *testing.T) {
	host := dacatest.New(t, main)
	actor := host.Actor("a")
	if err := actor.Call("Keep", nil, nil); err != nil {
		t.Fatal(err)
	}
	var text string
	if ok, _ := actor.State("short", &text); !ok {
		t.Fatal("it is not there")
	}
	host.Advance(time.Second)
	if ok, _ := actor.State("short", &text); ok {
		t.Fatal("it is still there")
	}
	if err := actor.SetState("count", 4); err != nil {
		t.Fatal(err)
	}
	if err := actor.Migrate("1"); err != nil {
		t.Fatal(err)
	}
	var got int
	if ok, _ := actor.State("count", &got); ok {
		t.Fatal("the old key is still there")
	}
	if _, err := actor.State("sum", &got); err != nil || got != 40 {
		t.Fatal(got, err)
	}
}

func TestWhatIsNotGivenIsDenied(t *testing.T) {
	host := dacatest.New(t, main)
	if err := host.Actor("a").Call("Ask", nil, nil); message(err) != "denied: the agent type Other is not given to this host" {
		t.Fatal(err)
	}
	host.Actors = map[string]func(string, string, []byte) (any, error){
		"Other": func(id, method string, payload []byte) (any, error) { return 41, nil },
	}
	var got int
	if err := host.Actor("a").Call("Ask", nil, &got); err != nil || got != 41 {
		t.Fatal(got, err)
	}
}

func TestTheFailureOfAnotherActorIsWhatTheHostMakesOfIt(t *testing.T) {
	host := dacatest.New(t, askers)
	for _, one := range []struct {
		fails error
		want  string
	}{
		{daca.Invalid("no such size"), "invalid: no such size"},
		{daca.NotFound("no such item"), "not-found: no such item"},
		{daca.Failed("the shelf is away"), "other: the shelf is away"},
	} {
		host.Actors = map[string]func(string, string, []byte) (any, error){
			"Other": func(id, method string, payload []byte) (any, error) { return nil, one.fails },
		}
		var got string
		if err := host.Actor("a").Call("Ask", nil, &got); err != nil || got != one.want {
			t.Error(got, err)
		}
	}
}
