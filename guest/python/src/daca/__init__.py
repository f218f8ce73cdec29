"""Agents for the DACA host: virtual actors with durable state, events, bindings, reminders and timers."""

from . import actors, bindings, config, json, log, reminders, secrets, state, timers
from .activation import FailedEffect
from .agents import agent, method
from .effects import Effect, publish
from .failures import Failed, Failure, HostError, Invalid, NotFound
from .identity import actor_id, agent_type, turn_id

__all__ = [
    "Effect", "Failed", "FailedEffect", "Failure", "HostError", "Invalid", "NotFound", "actor_id", "actors",
    "agent", "agent_type", "bindings", "config", "json", "log", "method", "publish", "reminders", "secrets",
    "state", "timers", "turn_id",
]
