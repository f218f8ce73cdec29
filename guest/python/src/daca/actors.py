"""Calls to other actors."""

from typing import Any

from . import json
from ._host import host
from .failures import ask

_NOTHING: Any = object()


def invoke(agent_type: str, actor_id: str, method: str, payload: Any = _NOTHING) -> Any:
    """Calls a method and waits for its reply. The call takes effect at once, even if this turn fails."""
    data = b"" if payload is _NOTHING else json.to_bytes(payload)
    return json.from_bytes(bytes(ask(host("actors").invoke, agent_type, actor_id, method, data)))
