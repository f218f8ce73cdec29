package core

import (
	"maps"
	"reflect"
	"slices"
)

// Methods are those of the agent, by their names: functions that take its value first. `daca-go build` writes them down.
// Where a program asks for methods by reflection, the linker keeps the exported methods of all its types.
var Methods map[string]any

func methodsOf(reflect.Type) []named {
	var found []named
	for _, name := range slices.Sorted(maps.Keys(Methods)) {
		found = append(found, named{name, reflect.ValueOf(Methods[name])})
	}
	return found
}

// checkHooks has nothing to do: `daca-go build` has read the source.
func checkHooks(any) error { return nil }
