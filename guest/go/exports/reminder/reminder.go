//go:build wasip1

// Package reminder is the export `on-reminder`. `daca-go build` links it to agents with OnReminder.
package reminder

import (
	"daca/internal/component"
	"daca/internal/host"
)

//go:wasmexport daca:agent/on-reminder@0.1.0#on-reminder
func onReminder(name, nameLen, data, dataLen uint32) uint32 {
	text, bytes := host.Text(name, nameLen), host.Bytes(data, dataLen)
	host.Release()
	return component.Done(component.Current().OnReminder(text, bytes))
}
