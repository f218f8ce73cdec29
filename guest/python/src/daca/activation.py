"""One activation of an agent: the instance of its class, and how a turn runs in it."""

import inspect
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import json, traces
from ._loop import NeverSettles, explain
from .agents import Definition
from .failures import Failure, HostError, NotFound


@dataclass(frozen=True)
class FailedEffect:
    """An effect that was given up, for `on_effect_failed`: an event, or a one-way call of a binding."""

    id: str
    attempts: int
    #: `publish` or `send`.
    kind: str
    #: The event, or the data of the binding.
    data: bytes
    #: `component/topic` of an event.
    topic: str = ""
    binding: str = ""
    operation: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


class Activation:
    """An instance of the agent's class, made at its first use."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._instance: Any = None

    def invoke(self, name: str, payload: bytes) -> bytes:
        """Runs a method for a caller."""
        method = self._definition.methods.get(name)
        if method is None:
            names = ", ".join(self._definition.methods)
            raise NotFound(f"the agent has no method {name!r}; it has {names}")
        arguments = method.argument(payload)
        reply = finished(getattr(self._get(), method.attribute)(*arguments))
        return json.to_bytes(reply)

    def hook(self, name: str, *arguments: Any) -> Any:
        """Runs a hook, if the class has it."""
        attribute = self._definition.hooks.get(name)
        return None if attribute is None else finished(getattr(self._get(), attribute)(*arguments))

    def wake_up(self, hook: str, name: str, data: bytes) -> None:
        """Runs the hook of a reminder or timer."""
        if hook not in self._definition.hooks:
            raise NotFound(f"the agent has no {hook}()")
        self.hook(hook, name, json.from_bytes(bytes(data)))

    def effect_failed(self, effect: Any, code: str, message: str) -> None:
        """Runs the hook of an effect that was given up."""
        self.hook("on_effect_failed", effect, HostError(code, message))

    def keys(self, from_label: str) -> list[str]:
        """The keys that `migrate` reads of state in another schema."""
        found = finished(self._definition.keys(from_label))
        if isinstance(found, str) or not isinstance(found, Iterable):
            raise TypeError("migrates must return a list of keys")
        keys = list(found)
        for key in keys:
            if not isinstance(key, str):
                raise TypeError(f"a key that migrates returns must be a string, and is of type {type(key).__name__}")
            key.encode()  # half of a surrogate pair has no bytes
        return keys

    def migrate(self, from_label: str, pairs: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Converts the state of another schema."""
        before = {key: json.from_bytes(bytes(data)) for key, data in pairs}
        after = self.hook("migrate", before, from_label)
        if not isinstance(after, dict):
            raise TypeError("migrate() returns a dict of keys and values")
        return [(key, json.to_bytes(value)) for key, value in after.items()]

    def _get(self) -> Any:
        if self._instance is None:
            make = getattr(self._definition.cls, "__daca_new__", self._definition.cls)
            self._instance = make()
        return self._instance


def finished(result: Any) -> Any:
    """The result of a method. That of an `async def` is driven to its end: calls of the host wait by themselves."""
    return _drive(result) if inspect.iscoroutine(result) else result


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    error: NeverSettles | None = None
    try:
        while True:
            try:
                awaited = coroutine.throw(error) if error else coroutine.send(None)
            except StopIteration as end:
                return end.value
            # A bare `yield`, such as that of `asyncio.sleep(0)`, only lets others go first.
            error = None if awaited is None else NeverSettles(awaited)
    finally:
        coroutine.close()


def failure_of(raised: BaseException) -> tuple[str, str]:
    """What an exception is to the host: the case, and the text that people read."""
    if isinstance(raised, Failure):
        return raised.case, str(raised)
    explain(raised)
    return "failed", traces.text_of(raised)


def cause_of(raised: BaseException) -> str | None:
    """What the log gets of a failure on purpose that has a cause (`raise Failed("…") from e`): the frames of both.

    The caller reads the message alone. Of any other exception, the text of the failure has them already.
    """
    return traces.text_of(raised) if isinstance(raised, Failure) and raised.__cause__ is not None else None


def failed_effect(effect: Any) -> FailedEffect:
    """A given-up effect of the contract, as the hook gets it."""
    asked = effect.request.value
    if hasattr(asked, "topic"):
        topic = f"{asked.pubsub}/{asked.topic}"
        return FailedEffect(effect.id, effect.attempts, "publish", bytes(asked.event), topic)
    return FailedEffect(
        effect.id, effect.attempts, "send", bytes(asked.data),
        binding=asked.binding, operation=asked.operation, metadata=dict(asked.metadata),
    )


