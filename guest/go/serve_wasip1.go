package daca

import (
	"daca/internal/component"
	"daca/internal/core"
)

func serve(definition *core.Definition, err error) {
	if err != nil {
		panic("daca: " + err.Error())
	}
	component.Definition = definition
}
