package daca

import (
	"daca/internal/core"
	"daca/internal/host"
)

// Failure is why an agent rejects a call, and whose fault it is. [Invalid], [NotFound] and [Failed] make one. Any other
// error that a method returns is the agent's own fault: status 500.
type Failure = core.Failure

// Invalid is the caller's fault: the payload cannot be used. Status 400.
func Invalid(format string, values ...any) error { return core.Fail(core.Invalid, format, values...) }

// NotFound is the caller's fault: the method, or the item that it asks for, does not exist. Status 404.
func NotFound(format string, values ...any) error { return core.Fail(core.NotFound, format, values...) }

// Failed is the fault of the agent or of a system that it depends on. Status 500.
func Failed(format string, values ...any) error { return core.Fail(core.Failed, format, values...) }

// HostError is a request of the agent that the host rejected. Branch on its Code; the message is for people.
//
//	var rejected *daca.HostError
//	if errors.As(err, &rejected) && rejected.Code == daca.CodeTooLarge { … }
type HostError = host.Error

// Code says why the host rejected a request.
type Code = host.Code

// The reasons of a [HostError].
const (
	// CodeDenied: the manifest does not grant this to the agent type.
	CodeDenied = host.Denied
	// CodeNotFound: the named item does not exist.
	CodeNotFound = host.NotFound
	// CodeInvalid: the request is invalid, and repeating it will not help.
	CodeInvalid = host.Invalid
	// CodeUnavailable: a store, broker, sidecar or actor cannot be reached now. A later attempt may succeed.
	CodeUnavailable = host.Unavailable
	// CodeTooLarge: a key, value, payload or number of items exceeds a limit of the agent type.
	CodeTooLarge = host.TooLarge
	// CodeOther: any other reason, such as the failure that a called actor returned.
	CodeOther = host.Other
)
