package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// agentIn makes a module with one main package.
func agentIn(t *testing.T, source string) string {
	t.Helper()
	sdk, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	module := "module counter\n\ngo 1.26\n\nrequire daca v0.0.0\n\nreplace daca => " + sdk + "\n"
	for name, text := range map[string]string{"go.mod": module, "counter.go": source} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const head = "package main\n\nimport \"daca\"\n\ntype Counter struct{}\n\nfunc main() { daca.Agent[Counter]() }\n"

func TestHooksAreThoseOfTheType(t *testing.T) {
	found, err := read(agentIn(t, head+`
type base struct{}

func (base) Activate() error { return nil }

type Other struct{ base }

func (c *Counter) OnReminder(name string, data daca.Data) error { return nil }
func (c *Counter) OnEffectFailed(effect daca.FailedEffect, reason *daca.HostError) error { return nil }
func (c *Counter) Add(by int) (int, error) { return by, nil }
func (c *Counter) activate() {}
`))
	if err != nil || !slices.Equal(found.hooks, []string{"OnEffectFailed", "OnReminder"}) {
		t.Fatal(found, err)
	}
	text := world(found.hooks)
	if !strings.Contains(text, "export daca:agent/on-reminder@0.1.0;") || strings.Contains(text, "lifecycle") {
		t.Fatal(text)
	}
}

func TestErrorsNameFileAndLine(t *testing.T) {
	for _, one := range []struct{ source, want string }{
		{head + "\nfunc (c *Counter) Add(a, b int) int { return a }\n", "counter.go:9:19: Add: a method takes one argument or none"},
		{head + "\nfunc (c *Counter) Add() (int, int) { return 1, 2 }\n", "counter.go:9:19: Add: a method returns a value, an error, both or nothing"},
		{head + "\nfunc (c *Counter) OnTimer(name string) {}\n", "counter.go:9:19: OnTimer: the hook has to be OnTimer(name string, data daca.Data) error"},
		{"package main\n\nfunc main() {}\n", "counter.go:1: nothing calls daca.Agent[T]()"},
		{head + "\nfunc init() { daca.Agent[struct{}]() }\n", "counter.go:9:20: a component has one agent"},
		{"package counter\n", "an agent is a main package"},
	} {
		if _, err := read(agentIn(t, one.source)); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%q\n    is not in: %v", one.want, err)
		}
	}
}

func TestTheContractIsThatOfTheRepository(t *testing.T) {
	for copied, original := range map[string]string{"deps/daca-agent/agent.wit": "agent.wit", "deps/wasi-config/store.wit": "deps/wasi-config/store.wit",
		"deps/wasi-logging/logging.wit": "deps/wasi-logging/logging.wit"} {
		want, err := os.ReadFile(filepath.Join("../../../../wit", original))
		if err != nil {
			t.Skip("this is not the repository: ", err)
		}
		got, err := fs.ReadFile(contract, "wit/"+copied)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("wit/%s is not that of the repository: copy it. %v", copied, err)
		}
	}
}

func TestAComponentIsBuilt(t *testing.T) {
	if _, err := wasmTools(); err != nil {
		t.Skip(err)
	}
	output := filepath.Join(t.TempDir(), "counter.wasm")
	if _, _, err := build(agentIn(t, head+"\nfunc (c *Counter) Add(by int) int { return by }\n"), output); err != nil {
		t.Fatal(err)
	}
	component, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(component, []byte("\x00asm\x0d\x00\x01\x00")) {
		t.Error("it is no component")
	}
	for name, has := range map[string]bool{"daca:agent/actor@0.1.0": true, "daca:agent/lifecycle@0.1.0": false, "daca:agent/secrets@0.1.0": false} {
		if bytes.Contains(component, []byte(name)) != has {
			t.Errorf("%s: %v is wanted", name, has)
		}
	}
}
