"""A host in memory, for tests of an agent: its state, events, bindings, wake-ups and a clock.

A turn is all or nothing here, too: when a method raises, its writes and effects are gone, and so is the instance.
"""

import asyncio
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator
from unittest import mock

from . import _host, json
from ._loop import refuse_loop
from ._turn import Line, Published, Sent, StoredActor, Turn, WakeUp
from .activation import Activation, FailedEffect, cause_of, failure_of
from .agents import definition
from .failures import Failed, Failure
from .log import Handler

__all__ = ["FailedEffect", "Line", "Published", "Sent", "TestActor", "TestHost"]

_NOTHING: Any = object()


@dataclasses.dataclass
class Answers:
    """What a test says that the rest of the world answers. What is missing is denied."""

    config: Mapping[str, str]
    secrets: Mapping[str, str | Mapping[str, str]]
    bindings: Mapping[str, Callable[[str, bytes, dict[str, str]], Any]]
    actors: Mapping[str, Callable[[str, str, Any], Any]]


class TestHost:
    """A host with one agent type."""

    __test__ = False

    def __init__(
        self,
        agent: type,
        *,
        type: str | None = None,
        now: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc),
        config: Mapping[str, str] | None = None,
        secrets: Mapping[str, str | Mapping[str, str]] | None = None,
        bindings: Mapping[str, Callable[[str, bytes, dict[str, str]], Any]] | None = None,
        actors: Mapping[str, Callable[[str, str, Any], Any]] | None = None,
    ) -> None:
        self.definition = definition(agent)
        self.type = type or agent.__name__
        self.answers = Answers(config or {}, secrets or {}, bindings or {}, actors or {})
        #: Events that were published.
        self.events: list[Published] = []
        #: One-way calls of bindings.
        self.sent: list[Sent] = []
        #: The log.
        self.logged: list[Line] = []
        self.turns = 0
        self._now_ms = round(now.timestamp() * 1000)
        self._actors: dict[str, TestActor] = {}

    @property
    def now(self) -> datetime:
        """The time of the host. `time.time()` gives it within a turn."""
        return datetime.fromtimestamp(self._now_ms / 1000, timezone.utc)

    @property
    def now_ms(self) -> int:
        """The time of the host, in milliseconds."""
        return self._now_ms

    def actor(self, actor_id: str) -> "TestActor":
        """The actor of an id. It is made at its first call."""
        return self._actors.setdefault(actor_id, TestActor(self, actor_id))

    def advance(self, by: float | timedelta) -> None:
        """Moves the clock, in seconds, and fires the reminders and timers that become due, in their order.

        The clock moves to the end even if turns fail. Then the first failure is raised.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        until = self._now_ms + round(seconds * 1000)
        first: Failure | None = None
        while True:
            due = [(w.at, n, actor, w) for n, actor in enumerate(self._actors.values()) for w in actor.due(until)]
            if not due:
                break
            at, _, actor, wake_up = min(due, key=lambda each: each[:2])
            self._now_ms = max(self._now_ms, at)
            try:
                actor.fire(wake_up)
            except Failure as failure:
                first = first or failure
        self._now_ms = until
        if first is not None:
            raise first


class TestActor:
    """One actor of a `TestHost`."""

    __test__ = False

    def __init__(self, host: TestHost, actor_id: str) -> None:
        self._host = host
        self._stored = StoredActor(actor_id)
        self._activation: Activation | None = None
        self._is_busy = False

    @property
    def state(self) -> dict[str, Any]:
        """The committed state: values by key."""
        now = self._host.now_ms
        values = {key: self._stored.read(key, now) for key in self._stored.values}
        return {key: json.from_bytes(data) for key, data in values.items() if data is not None}

    def set_state(self, key: str, value: Any) -> None:
        """Writes state as if an earlier turn had."""
        self._stored.values[key] = (json.to_bytes(value), None)

    @property
    def reminders(self) -> list[str]:
        """The names of the registered reminders."""
        return [name for kind, name in self._stored.wake_ups if kind == "reminders"]

    @property
    def timers(self) -> list[str]:
        """The names of the registered timers."""
        return [name for kind, name in self._stored.wake_ups if kind == "timers"]

    def call(self, method: str, payload: Any = _NOTHING) -> Any:
        """Calls a method, as a route does. Raises `Invalid`, `NotFound` or `Failed`."""
        data = b"" if payload is _NOTHING else json.to_bytes(payload)
        return json.from_bytes(self._turn(lambda activation: activation.invoke(method, data)))

    def deactivate(self) -> None:
        """Ends the activation: the instance and the timers are gone, state and reminders stay."""
        if self._activation is not None:
            self._turn(lambda activation: activation.hook("deactivate"))
        self._activation = None
        for key in [key for key in self._stored.wake_ups if key[0] == "timers"]:
            del self._stored.wake_ups[key]

    def effect_failed(self, effect: FailedEffect, code: str = "unavailable", message: str = "") -> None:
        """Tells the actor that one of its effects has failed for good."""
        self._turn(lambda activation: activation.effect_failed(effect, code, message))

    def migrate(self, from_label: str) -> None:
        """Migrates the state of another schema, as the first turn on a new version does."""
        keys = self._turn(lambda activation: activation.keys(from_label), activates=False)
        now = self._host.now_ms
        found = {key: data for key in keys if (data := self._stored.read(key, now)) is not None}
        if not found:
            return
        pairs = list(found.items())
        after = self._turn(lambda activation: dict(activation.migrate(from_label, pairs)), activates=False)
        for key in keys:
            self._stored.values.pop(key, None)
        self._stored.values.update({key: (data, None) for key, data in after.items()})

    def due(self, until: int) -> list[WakeUp]:
        """The wake-ups that are due until a time; for `TestHost.advance`."""
        return [wake_up for wake_up in self._stored.wake_ups.values() if wake_up.at <= until]

    def fire(self, wake_up: WakeUp) -> None:
        """Fires one; for `TestHost.advance`."""
        hook = "on_reminder" if wake_up.kind == "reminders" else "on_timer"
        try:
            self._turn(lambda activation: activation.wake_up(hook, wake_up.name, wake_up.data), fired=wake_up)
        except Failure:
            if not wake_up.fires_after_failure(self._host.now_ms):
                del self._stored.wake_ups[wake_up.kind, wake_up.name]
            raise

    def _turn(
        self, call: Callable[[Activation], Any], *, activates: bool = True, fired: WakeUp | None = None
    ) -> Any:
        if self._is_busy:
            raise RuntimeError(f"the actor {self._stored.id} is in a turn already")
        self._is_busy = True
        self._host.turns += 1
        turn = Turn(self._host, self._stored, fired)
        try:
            with _within(turn, self._host.now_ms):
                if self._activation is None and activates:
                    self._activation = Activation(self._host.definition)
                    self._activation.hook("activate")
                reply = call(self._activation or Activation(self._host.definition))
            turn.commit()
            return reply
        except Exception as raised:
            self._activation = None
            if (cause := cause_of(raised)) is not None:
                turn.lines.append(Line("error", cause))
            self._host.logged.extend(turn.lines)
            if isinstance(raised, Failure):
                raise
            raise Failed(failure_of(raised)[1]) from raised
        finally:
            self._is_busy = False


@contextmanager
def _within(turn: Turn, now_ms: int) -> Iterator[None]:
    """Makes the turn's interfaces those of the SDK, and its clock that of `time`. There is no event loop to be had."""
    handler, root = Handler(), logging.getLogger()
    level = root.level
    before = _host.use(turn.interfaces())
    root.addHandler(handler)
    if level == logging.WARNING:
        root.setLevel(logging.INFO)
    replaced: list[tuple[Any, str, Any]] = [
        (time, "time", lambda: now_ms / 1000),
        (time, "time_ns", lambda: now_ms * 1_000_000),
        (asyncio, "new_event_loop", refuse_loop),
        (asyncio.events, "new_event_loop", refuse_loop),
    ]
    if sys.version_info < (3, 14):
        # There, `asyncio.get_event_loop` makes one.
        replaced.append((asyncio.get_event_loop_policy(), "new_event_loop", refuse_loop))
    try:
        with ExitStack() as patches:
            for module, name, own in replaced:
                patches.enter_context(mock.patch.object(module, name, own))
            yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        _host.use(before)
