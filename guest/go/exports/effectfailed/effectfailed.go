//go:build wasip1

// Package effectfailed is the export `on-effect-failed`. `daca-go build` links it to agents with OnEffectFailed.
package effectfailed

import (
	"daca/internal/component"
	"daca/internal/core"
	"daca/internal/host"
)

// The request is a variant: its case, and room for the larger one, whose words the smaller one uses from the first on.
//
//go:wasmexport daca:agent/on-effect-failed@0.1.0#on-effect-failed
func onEffectFailed(id, idLen, kind, a, aLen, b, bLen, c, cLen, metadata, metadataLen, attempts, reason, text, textLen uint32) uint32 {
	effect := core.FailedEffect{ID: host.Text(id, idLen), Attempts: attempts}
	if kind == 0 {
		effect.Event = &core.FailedEvent{Topic: host.Text(a, aLen) + "/" + host.Text(b, bLen), Data: host.Bytes(c, cLen)}
	} else {
		effect.Sent = &core.FailedSend{Binding: host.Text(a, aLen), Operation: host.Text(b, bLen), Data: host.Bytes(c, cLen)}
		effect.Sent.Metadata = map[string]string{}
		for _, pair := range host.Pairs(metadata, metadataLen) {
			effect.Sent.Metadata[pair.Name] = pair.Value
		}
	}
	rejected := &host.Error{Code: host.Other, Message: host.Text(text, textLen)}
	if int(reason) < len(host.Codes) {
		rejected.Code = host.Codes[reason]
	}
	host.Release()
	return component.Done(component.Current().OnEffectFailed(effect, rejected))
}
