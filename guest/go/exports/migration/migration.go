//go:build wasip1

// Package migration is the export `migration`. `daca-go build` links it to agents with Migrate.
package migration

import (
	"maps"
	"slices"

	"daca/internal/component"
	"daca/internal/core"
	"daca/internal/host"
)

//go:wasmexport daca:agent/migration@0.1.0#label
func label() uint32 { return host.ResultText(component.Definition.Schema) }

// failed is what `keys` begins with to say that it failed: it returns no result.
const failed = "daca:failed\n"

//go:wasmexport daca:agent/migration@0.1.0#keys
func keys(from, fromLen uint32) uint32 {
	name := host.Text(from, fromLen)
	host.Release()
	found, failure := component.Definition.KeysOf(name)
	if failure != nil {
		found = []string{failed + core.Told(failure)}
	}
	return host.ResultTexts(found)
}

//go:wasmexport daca:agent/migration@0.1.0#migrate
func migrate(from, fromLen, state, stateLen uint32) uint32 {
	name := host.Text(from, fromLen)
	values := core.Migration{}
	for words := host.Words(state, stateLen, 4); len(words) > 0; words = words[4:] {
		values[host.Text(words[0], words[1])] = host.Bytes(words[2], words[3])
	}
	host.Release()
	if failure := component.Current().Migrate(name, values); failure != nil {
		return component.Done(failure)
	}
	order := slices.Sorted(maps.Keys(values))
	after := make([][]byte, 0, len(order))
	for _, key := range order {
		after = append(after, values[key])
	}
	return host.ResultEntries(order, after)
}
