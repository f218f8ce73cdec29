// Daca-go builds the component of an agent in Go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const usage = `Usage:
  daca-go build [-o FILE.wasm] [PACKAGE]    builds a component
PACKAGE is the folder of a main package that calls daca.Agent[T](); this one by default.
It needs wasm-tools: in PATH, or where the variable WASM_TOOLS says.`

// errSaid is an error whose text is printed already: what the compiler found.
var errSaid = errors.New("said")

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, errSaid) {
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 || arguments[0] != "build" {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("daca-go build", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	output := flags.String("o", "", "the component's file")
	if err := flags.Parse(arguments[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return errSaid
	}
	folder := "."
	switch flags.NArg() {
	case 0:
	case 1:
		folder = flags.Arg(0)
	default:
		return errors.New(usage)
	}
	size, file, err := build(folder, *output)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MB\n", file, float64(size)/1e6)
	return nil
}

// nameOf is the component's file for a package: that of its folder.
func nameOf(folder string) (string, error) {
	absolute, err := filepath.Abs(folder)
	return filepath.Base(absolute) + ".wasm", err
}
