//go:build wasip1

// Package exports is for what `daca-go build` adds to an agent.
package exports

import "daca/internal/core"

// Methods says which methods the agent has.
func Methods(methods map[string]any) { core.Methods = methods }
