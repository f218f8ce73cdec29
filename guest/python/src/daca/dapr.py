"""Names of Dapr's SDK for Python, so that a class of its moves over with few changes: actors, their state, publishing.

What Dapr does at once is a part of the turn here: writes, events and calls of bindings take effect together when the
method returns, and not at all when it raises.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from . import bindings, config, effects, json, state
from .agents import F, Mark
from .failures import Failure, HostError, Invalid, NotFound
from .identity import actor_id as _actor_id

__all__ = [
    "Actor", "ActorId", "ActorInterface", "DaprClient", "Failure", "HostError", "Invalid", "NotFound", "actormethod",
    "config", "json",
]


def actormethod(name: str) -> Callable[[F], F]:
    """Names a method. As with Dapr, its argument is the payload, whatever the parameter's type: see `daca.method`."""

    def mark(function: F) -> F:
        function.__daca_method__ = Mark(name, is_typed=False)  # type: ignore[attr-defined]
        return function

    return mark


class ActorId:
    """The id of an actor."""

    def __init__(self, actor_id: str) -> None:
        self.id = actor_id

    def __str__(self) -> str:
        return self.id


class ActorInterface:
    """The base of a class that names methods with `@actormethod`."""


class StateManager:
    """The actor's state, with the methods of Dapr's state manager."""

    async def get_state(self, name: str) -> Any:
        """The value of a key, or `None`. Dapr's raises a `KeyError` where there is none."""
        return state.get(name)

    async def try_get_state(self, name: str) -> tuple[bool, Any]:
        data = state.get_bytes(name)
        return data is not None, None if data is None else json.from_bytes(data)

    async def contains_state(self, name: str) -> bool:
        return state.get_bytes(name) is not None

    async def set_state(self, name: str, value: Any) -> None:
        state.set(name, value)

    async def remove_state(self, name: str) -> None:
        state.delete(name)

    async def save_state(self) -> None:
        """Does nothing: the turn commits when the method returns."""


class Actor:
    """The base of an actor's class. Hooks: `_on_activate` and `_on_deactivate`."""

    __daca_hooks__ = {"_on_activate": "activate", "_on_deactivate": "deactivate"}

    def __init__(self, ctx: Any, actor_id: ActorId) -> None:
        self.id = actor_id
        self._state_manager = StateManager()

    @classmethod
    def __daca_new__(cls) -> "Actor":
        return cls(None, ActorId(_actor_id()))


class Unanswered:
    """What `invoke_binding` returns: the call leaves after the turn's commit, so it has no answer yet."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"no {name}: the binding is called after the turn. `daca.bindings.invoke` waits for an answer"
        )


class DaprClient:
    """Publishes events and calls output bindings, both after the turn's commit."""

    def __init__(self) -> None:
        self._last: effects.Effect | None = None

    def publish_event(self, pubsub_name: str, topic_name: str, data: Any) -> None:
        """Stages an event. Text is sent as it is."""
        self._last = effects.publish(f"{pubsub_name}/{topic_name}", _bytes(data))

    def invoke_binding(
        self, binding_name: str, operation: str, data: Any = b"", binding_metadata: Mapping[str, Any] | None = None
    ) -> Unanswered:
        """Stages a one-way call of a binding. Text is sent as it is."""
        self._last = bindings.send(binding_name, operation, _bytes(data), binding_metadata)
        return Unanswered()

    def log_outcome(self, delivered: str, undeliverable: str) -> None:
        """The log line that the host writes when what was sent last has been delivered, or cannot be."""
        if self._last is None:
            raise RuntimeError("nothing was sent")
        self._last.log_outcome(delivered, undeliverable)

    def __enter__(self) -> "DaprClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else json.to_bytes(data)
