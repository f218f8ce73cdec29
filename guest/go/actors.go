package daca

import (
	"fmt"

	"daca/internal/core"
	"daca/internal/host"
)

// Call calls a method of another actor and waits for its reply. The payload is JSON; nil sends none. The call takes
// effect at once, even if this turn fails.
//
//	sum, err := daca.Call[int]("Counter", "apples", "Add", 3)
func Call[R any](agentType, id, method string, payload any) (reply R, err error) {
	var data []byte
	if payload != nil {
		if data, err = core.Encode(payload); err != nil {
			return reply, fmt.Errorf("the payload: %w", err)
		}
	}
	text, err := host.ActorInvoke(agentType, id, method, data)
	if err != nil {
		return reply, err
	}
	if err := core.Decode(text, &reply); err != nil {
		return reply, fmt.Errorf("the reply of %s: %w", method, err)
	}
	return reply, nil
}

// ActorID is the id of this actor within its type, such as `user1`.
func ActorID() string { return host.ActorID() }

// AgentType is the agent type, such as `ChatAgent`.
func AgentType() string { return host.AgentType() }

// TurnID is the id of the current turn: the field `turn` of the host's log lines.
func TurnID() string { return host.TurnID() }
