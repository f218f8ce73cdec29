//go:build !wasip1

package core

import (
	"fmt"
	"reflect"
)

// methodsOf are the exported methods of a type.
func methodsOf(t reflect.Type) []named {
	var found []named
	for i := range t.NumMethod() {
		found = append(found, named{t.Method(i).Name, t.Method(i).Func})
	}
	return found
}

// checkHooks finds hooks with other parameters or results than the host's. `daca-go build` finds them in the source.
func checkHooks(value any) error {
	for _, hook := range Hooks {
		if _, ok := reflect.TypeOf(value).MethodByName(hook); ok && !implements(value, hook) {
			return fmt.Errorf("the hook %s has to be %s", hook, Signatures[hook])
		}
	}
	return nil
}

func implements(value any, hook string) (ok bool) {
	switch hook {
	case "Activate":
		_, ok = value.(Activator)
	case "Deactivate":
		_, ok = value.(Deactivator)
	case "OnReminder":
		_, ok = value.(Reminded)
	case "OnTimer":
		_, ok = value.(Timed)
	case "OnEffectFailed":
		_, ok = value.(EffectWatcher)
	case "Migrate":
		_, ok = value.(Migrator)
	}
	return ok
}
