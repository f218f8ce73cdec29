package core

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// Kind is whose fault a failure is: its number in the contract.
type Kind uint32

// The cases of the contract's `failure`, in its order.
const (
	Invalid Kind = iota
	NotFound
	Failed
)

// Failure is why an agent rejects a call.
type Failure struct {
	Kind    Kind
	Message string
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// Fail makes a failure.
func Fail(kind Kind, format string, values ...any) error {
	return &Failure{kind, fmt.Errorf(format, values...).Error()}
}

// FailureOf is what an error is to the caller.
func FailureOf(err error) *Failure {
	var failure *Failure
	if errors.As(err, &failure) {
		return &Failure{failure.Kind, err.Error()}
	}
	return &Failure{Failed, err.Error()}
}

// MaxFrames is the number of the calls that a panic's text names.
const maxFrames = 16

// panicked is the failure of a panic: its value, and where it happened in the agent's files.
func panicked(value any) *Failure {
	var text strings.Builder
	fmt.Fprintf(&text, "panic: %v", value)
	callers := make([]uintptr, 64)
	// The first three are this, the deferred function and the runtime's.
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for named := 0; named < maxFrames; {
		frame, more := frames.Next()
		own := strings.HasPrefix(frame.Function, "daca/internal/") || strings.HasPrefix(frame.Function, "reflect.") ||
			strings.HasPrefix(frame.Function, "runtime.")
		if !own && frame.File != "" {
			fmt.Fprintf(&text, "\n    at %s (%s:%d)", frame.Function, frame.File, frame.Line)
			named++
		}
		if !more {
			break
		}
	}
	return &Failure{Failed, text.String()}
}
