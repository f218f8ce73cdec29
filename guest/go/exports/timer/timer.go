//go:build wasip1

// Package timer is the export `on-timer`. `daca-go build` links it to agents with OnTimer.
package timer

import (
	"daca/internal/component"
	"daca/internal/host"
)

//go:wasmexport daca:agent/on-timer@0.1.0#on-timer
func onTimer(name, nameLen, data, dataLen uint32) uint32 {
	text, bytes := host.Text(name, nameLen), host.Bytes(data, dataLen)
	host.Release()
	return component.Done(component.Current().OnTimer(text, bytes))
}
