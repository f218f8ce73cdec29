package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"daca/internal/core"
)

// source is an agent's package: where it lies, and the hooks of its type.
type source struct {
	folder string
	// agent is the type.
	agent types.Type
	// methods and hooks are those that the type has: the hooks are of core.Hooks.
	methods, hooks []string
}

// environment is that of Go's commands, for the target of components.
func environment() []string {
	return append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
}

// read checks an agent's package. What its author can mend is said with file and line.
func read(folder string) (*source, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".")
	list.Dir, list.Env, list.Stderr = folder, environment(), os.Stderr
	exports, err := list.Output()
	if err != nil {
		return nil, said("go list", err)
	}
	files := exec.Command("go", "list", "-f", "{{.Name}}\t{{.Dir}}{{range .GoFiles}}\t{{.}}{{end}}", ".")
	files.Dir, files.Env, files.Stderr = folder, environment(), os.Stderr
	line, err := files.Output()
	if err != nil {
		return nil, said("go list", err)
	}
	fields := strings.Split(strings.TrimSpace(string(line)), "\t")
	if fields[0] != "main" {
		return nil, fmt.Errorf("%s: the package is %s: an agent is a main package that calls daca.Agent[T]()", fields[1], fields[0])
	}
	set := token.NewFileSet()
	parsed, err := parse(set, fields[1], fields[2:])
	if err != nil {
		return nil, err
	}
	found, err := inspect(set, parsed, exportsOf(exports))
	if err != nil {
		return nil, err
	}
	found.folder = fields[1]
	return found, nil
}

// said is the error of a command that has printed its own, or that could not be started.
func said(command string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errSaid
	}
	return fmt.Errorf("%s: %w", command, err)
}

func parse(set *token.FileSet, folder string, names []string) ([]*ast.File, error) {
	var files []*ast.File
	for _, name := range names {
		path := filepath.Join(folder, name)
		if here, err := os.Getwd(); err == nil {
			if relative, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(relative, "..") {
				path = relative
			}
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// exportsOf has the files with the types of each package.
func exportsOf(listed []byte) map[string]string {
	exports := map[string]string{}
	for line := range bytes.Lines(listed) {
		path, file, _ := strings.Cut(strings.TrimSpace(string(line)), "\t")
		exports[path] = file
	}
	return exports
}

// inspect finds the agent's type, and checks its methods.
func inspect(set *token.FileSet, files []*ast.File, exports map[string]string) (*source, error) {
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	info := &types.Info{Instances: map[*ast.Ident]types.Instance{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(set, "gc", lookup)}
	if _, err := config.Check("main", set, files, info); err != nil {
		return nil, err
	}
	var agents []types.Type
	var places []token.Pos
	for name, instance := range info.Instances {
		function, ok := info.Uses[name].(*types.Func)
		if ok && function.Pkg() != nil && function.Pkg().Path() == "daca" && function.Name() == "Agent" {
			agents = append(agents, instance.TypeArgs.At(0))
			places = append(places, name.Pos())
		}
	}
	switch {
	case len(agents) == 0:
		return nil, fmt.Errorf("%s:1: nothing calls daca.Agent[T](): write `func main() { daca.Agent[MyType]() }`", set.Position(files[0].Pos()).Filename)
	case len(agents) > 1:
		return nil, fmt.Errorf("%s: a component has one agent: daca.Agent is called %d times", set.Position(max(places[0], places[1])), len(agents))
	}
	return check(set, agents[0])
}

// check says what the SDK would say in the host, with the place in the source.
func check(set *token.FileSet, agent types.Type) (*source, error) {
	found := &source{agent: agent}
	var problems []error
	methods := types.NewMethodSet(types.NewPointer(agent))
	for i := range methods.Len() {
		method := methods.At(i).Obj().(*types.Func)
		if !method.Exported() {
			continue
		}
		signature := method.Signature()
		problem := ""
		if want, ok := core.Signatures[method.Name()]; ok {
			found.hooks = append(found.hooks, method.Name())
			if got := method.Name() + written(signature); got != withoutNames(want) {
				problem = "the hook has to be " + want
			}
		} else {
			found.methods = append(found.methods, method.Name())
			problem = misfit(signature)
		}
		if problem != "" {
			problems = append(problems, fmt.Errorf("%s: %s: %s", set.Position(method.Pos()), method.Name(), problem))
		}
	}
	return found, errors.Join(problems...)
}

// misfit is what is wrong with a method of callers.
func misfit(signature *types.Signature) string {
	if signature.Variadic() || signature.Params().Len() > 1 {
		return "a method takes one argument or none"
	}
	results := signature.Results().Len()
	if results > 0 && types.Identical(signature.Results().At(results-1).Type(), types.Universe.Lookup("error").Type()) {
		results--
	}
	if results > 1 {
		return "a method returns a value, an error, both or nothing"
	}
	return ""
}

// written is a signature by its types alone.
func written(signature *types.Signature) string {
	short := func(p *types.Package) string { return p.Name() }
	list := func(tuple *types.Tuple) string {
		var names []string
		for variable := range tuple.Variables() {
			names = append(names, types.TypeString(variable.Type(), short))
		}
		return strings.Join(names, ", ")
	}
	return unaliased.Replace("(" + list(signature.Params()) + ") " + list(signature.Results()))
}

// unaliased makes the SDK's names for its types those of their own packages.
var unaliased = strings.NewReplacer("daca.HostError", "host.Error", "daca.", "core.")

// withoutNames makes of a hook as an author writes it what `written` makes of its types.
func withoutNames(want string) string {
	names := strings.NewReplacer("name ", "", "data ", "", "effect ", "", "reason ", "", "state ", "", "from ", "")
	return unaliased.Replace(names.Replace(want))
}
