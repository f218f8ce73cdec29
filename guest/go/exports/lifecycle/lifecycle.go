//go:build wasip1

// Package lifecycle is the export `lifecycle`. `daca-go build` links it to agents with Activate or Deactivate.
package lifecycle

import "daca/internal/component"

//go:wasmexport daca:agent/lifecycle@0.1.0#activate
func activate() uint32 { return component.Done(component.Current().Activate()) }

//go:wasmexport daca:agent/lifecycle@0.1.0#deactivate
func deactivate() uint32 { return component.Done(component.Current().Deactivate()) }
