//go:build !wasip1

package daca

import (
	"fmt"
	"os"

	"daca/internal/core"
	"daca/internal/local"
)

// serve has nothing to serve outside of a component. A test reads the definition that its agent's `main` gives.
func serve(definition *core.Definition, err error) {
	if local.Take != nil {
		local.Take(definition, err)
		return
	}
	if err == nil {
		err = fmt.Errorf("this is an agent, which a host runs: build its component with `go run daca/cmd/daca-go build`")
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
