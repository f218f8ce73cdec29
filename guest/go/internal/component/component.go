//go:build wasip1

// Package component has the export that every agent has, and what the optional ones need: see `daca/exports`.
package component

import (
	"daca/internal/core"
	"daca/internal/host"
)

// Definition is the agent of this component.
var Definition *core.Definition

var activation *core.Activation

// Current is the activation, made at its first use: a component's instance is one.
func Current() *core.Activation {
	if activation == nil {
		if Definition == nil {
			panic("daca: main does not call daca.Agent")
		}
		activation = core.NewActivation(Definition)
	}
	return activation
}

// Done is the result of a hook.
func Done(failure *core.Failure) uint32 {
	if failure == nil {
		return host.ResultDone()
	}
	return host.ResultFailure(uint32(failure.Kind), core.Told(failure))
}

//go:wasmexport daca:agent/actor@0.1.0#invoke
func invoke(method, methodLen, payload, payloadLen uint32) uint32 {
	name, bytes := host.Text(method, methodLen), host.View(payload, payloadLen)
	host.Hold()
	reply, failure := Current().Invoke(name, bytes)
	host.ReleaseAll()
	if failure != nil {
		return Done(failure)
	}
	return host.ResultBytes(reply)
}
