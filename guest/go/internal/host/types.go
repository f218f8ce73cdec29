// Package host is what the agent's side of the contract asks for: one function for each function of `wit/agent.wit`.
//
// In a component they are the imports (`imports_wasip1.go`), and anywhere else a [Host] in memory, which a test sets.
package host

// Code says why the host rejected a request.
type Code string

// The cases of the contract's `error`, in its order.
const (
	Denied      Code = "denied"
	NotFound    Code = "not-found"
	Invalid     Code = "invalid"
	Unavailable Code = "unavailable"
	TooLarge    Code = "too-large"
	Other       Code = "other"
)

// Codes are all of them, by the numbers that they have in the contract.
var Codes = [...]Code{Denied, NotFound, Invalid, Unavailable, TooLarge, Other}

// Error is a request that the host rejected. Branch on the code; the message is for people.
type Error struct {
	Code    Code
	Message string
}

// Error is the message with the case before it.
func (e *Error) Error() string {
	switch e.Code {
	case Other:
		return e.Message
	case NotFound:
		return "not found: " + e.Message
	case TooLarge:
		return "too large: " + e.Message
	default:
		return string(e.Code) + ": " + e.Message
	}
}

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Schedule says when a wake-up fires, in milliseconds.
type Schedule struct {
	Due         uint64
	Period, TTL *uint64
}

// WakeUp is a registered reminder or timer.
type WakeUp struct {
	Data     []byte
	Schedule Schedule
}

// Response is what a binding answered.
type Response struct {
	Data     []byte
	Metadata []Pair
}

// Level is how much a line of the log matters.
type Level uint32

// The cases of `level`, in the contract's order.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Critical = Level(5)
)

// LevelError is the level `error`.
const LevelError = Level(4)
