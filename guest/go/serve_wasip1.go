package daca

import (
	"runtime/debug"

	"daca/internal/component"
	"daca/internal/core"
)

// growth is the part of the live heap that may be added to it before it is collected, in percent, and of 4 MiB at first.
// Go's own value of 100 is for machines: an instance has 16 MiB by default, of which 3 MiB are the program.
const growth = 25

func serve(definition *core.Definition, err error) {
	if err != nil {
		panic("daca: " + err.Error())
	}
	debug.SetGCPercent(growth)
	component.Definition = definition
}
