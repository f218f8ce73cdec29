package dacatest_test

import (
	"strings"
	"testing"

	"daca"
	"daca/dacatest"
)

// moved names its keys by the format that its state has.
type moved struct{}

func (m *moved) Get() (int, error) { return sum.GetOr(0) }

func (m *moved) Migrate(state daca.Migration, from string) error { return state.Set("sum", 5) }

func moves() {
	daca.Agent[moved](daca.SchemaWith("9", func(from string) []string {
		return map[string][]string{"1": {"count"}, "2": {}}[from][:1]
	}))
}

// cutter cuts texts within a letter.
type cutter struct{}

func (c *cutter) Cut() error {
	daca.Log.Infof("%s", "aü"[:2])
	return daca.Failed("%s", "aü"[:2])
}

func cutters() { daca.Agent[cutter]() }

func TestAMigrationThatCannotNameItsKeysSaysWhy(t *testing.T) {
	actor := dacatest.New(t, moves).Actor("a")
	if err := actor.SetState("count", 1); err != nil {
		t.Fatal(err)
	}
	if err := actor.Migrate("2"); !strings.HasPrefix(message(err), "panic: runtime error: slice bounds out of range") {
		t.Fatal(err)
	}
	var got int
	if ok, err := actor.State("count", &got); !ok || err != nil || got != 1 {
		t.Fatal(got, ok, err)
	}
	if err := actor.Migrate("1"); err != nil {
		t.Fatal(err)
	}
	if err := actor.Call("Get", nil, &got); err != nil || got != 5 {
		t.Fatal(got, err)
	}
	if err := dacatest.New(t, sleepers).Actor("a").Migrate("1"); message(err) != "the agent names no keys for its migration" {
		t.Fatal(err)
	}
}

func TestALineThatIsCutWithinALetterIsText(t *testing.T) {
	host := dacatest.New(t, cutters)
	if err := host.Actor("a").Call("Cut", nil, nil); message(err) == "" {
		t.Fatal("it was taken")
	}
	if line := host.Logged[0].Message; line != "a\uFFFD" {
		t.Fatalf("%q", line)
	}
}
