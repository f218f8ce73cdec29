// Package local hands an agent's definition from its `main` to a test.
package local

import "daca/internal/core"

// Take gets what a call of `daca.Agent` defines, while a test waits for it.
var Take func(*core.Definition, error)
