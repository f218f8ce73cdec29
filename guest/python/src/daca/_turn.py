"""What one turn of `daca.testing` stages, as the interfaces of the host."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from . import json
from .failures import Failure, HostError

if TYPE_CHECKING:
    from .testing import TestHost

#: As the host retries a firing whose turn fails: the waits double, and with a period the attempts end.
_FIRST_WAIT_MS, _LONGEST_WAIT_MS = 500, 60_000
_MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class Published:
    """An event."""

    actor: str
    #: `component/topic`.
    topic: str
    data: Any


@dataclass(frozen=True)
class Sent:
    """A one-way call of a binding."""

    actor: str
    binding: str
    operation: str
    data: Any
    metadata: dict[str, str]


@dataclass(frozen=True)
class Line:
    """A line of the log."""

    level: str
    message: str


@dataclass
class WakeUp:
    """A registered reminder or timer. Times are milliseconds."""

    kind: str
    name: str
    schedule: Any
    data: bytes
    #: When it fires next.
    at: int = 0
    #: When it would fire next if no turn had failed.
    planned: int = 0
    end: int | None = None
    #: The attempts of this firing that have failed.
    failures: int = 0

    @property
    def period_ms(self) -> int | None:
        return self.schedule.period_ms  # type: ignore[no-any-return]

    def start(self, now: int) -> None:
        """Counts the times of the schedule from the commit of the registration."""
        self.at = self.planned = now + self.schedule.due_ms
        self.end = None if self.schedule.ttl_ms is None else now + self.schedule.ttl_ms

    def fires_again(self, now: int) -> bool:
        """Moves on after a firing. Returns `True` if there is another; missed ones are not made up for."""
        if self.period_ms is None:
            return False
        missed = (now - self.planned) // self.period_ms
        self.at = self.planned = self.planned + self.period_ms * (missed + 1)
        self.failures = 0
        return self.end is None or self.planned <= self.end

    def fires_after_failure(self, now: int) -> bool:
        """The same after a turn that failed. Only reminders are retried."""
        self.failures += 1
        if self.kind == "timers" or (self.period_ms is not None and self.failures >= _MAX_ATTEMPTS):
            return self.fires_again(now)
        self.at = now + min(_FIRST_WAIT_MS << min(self.failures - 1, 10), _LONGEST_WAIT_MS)
        return True


@dataclass
class StoredActor:
    """What is kept of an actor between turns."""

    id: str
    #: Bytes and the time at which they expire, by key.
    values: dict[str, tuple[bytes, int | None]] = field(default_factory=dict)
    wake_ups: dict[tuple[str, str], WakeUp] = field(default_factory=dict)

    def read(self, key: str, now: int) -> bytes | None:
        data, until = self.values.get(key, (None, None))
        return data if until is None or until > now else None


class Turn:
    """The staged changes of a turn."""

    def __init__(self, host: "TestHost", actor: StoredActor, fired: WakeUp | None = None) -> None:
        """`fired` is the wake-up that the turn is for."""
        self.lines: list[Line] = []
        self._host = host
        self._actor = actor
        self._fired = fired
        self._writes: dict[str, tuple[bytes, int | None] | None] = {}
        self._wake_ups: dict[tuple[str, str], WakeUp | None] = {}
        self._effects: list[Published | Sent] = []
        self._outcomes: dict[int, str] = {}

    def interfaces(self) -> dict[str, Any]:
        """The interfaces by the names of the contract, as the modules of a component have them."""
        space, settings = SimpleNamespace, self._host.answers.config
        return {
            "types": space(Schedule=SimpleNamespace),
            "identity": space(
                actor_id=lambda: self._actor.id,
                agent_type=lambda: self._host.type,
                turn_id=lambda: f"turn-{self._host.turns}",
            ),
            "state": space(
                get=self._get, get_many=lambda keys: [*map(self._get, keys)], set=self._set, delete=self._delete
            ),
            "pubsub": space(publish=self._publish),
            "bindings": space(invoke=self._invoke_binding, send=self._send),
            "effects": space(log_outcome=self._log_outcome),
            "actors": space(invoke=self._invoke_actor),
            "reminders": self._door("reminders", "on_reminder"),
            "timers": self._door("timers", "on_timer"),
            "secrets": space(get=self._secret),
            "config": space(get=settings.get, get_all=lambda: list(settings.items())),
            "logging": space(log=lambda level, _, message: self.lines.append(Line(level, message))),
        }

    def commit(self) -> None:
        """Makes what is staged the actor's."""
        now = self._host.now_ms
        for key, write in self._writes.items():
            if write is None:
                self._actor.values.pop(key, None)
            else:
                self._actor.values[key] = write
        # Before what the turn itself has registered: that replaces it.
        if self._fired is not None and not self._fired.fires_again(now):
            del self._actor.wake_ups[self._fired.kind, self._fired.name]
        for place, wake_up in self._wake_ups.items():
            self._actor.wake_ups.pop(place, None)
            if wake_up is not None:
                wake_up.start(now)
                self._actor.wake_ups[place] = wake_up
        self._host.logged.extend(self.lines)
        for number, effect in enumerate(self._effects):
            if isinstance(effect, Published):
                self._host.events.append(effect)
            else:
                self._host.sent.append(effect)
            if number in self._outcomes:
                self._host.logged.append(Line("info", self._outcomes[number]))

    def _get(self, key: str) -> bytes | None:
        _check_name("key", key)
        if key in self._writes:
            write = self._writes[key]
            return write and write[0]
        return self._actor.read(key, self._host.now_ms)

    def _set(self, key: str, value: bytes, ttl: int | None) -> None:
        _check_name("key", key)
        if ttl is not None and ttl < 1:
            raise HostError("invalid", f"a time to live of {ttl} seconds")
        self._writes[key] = (value, None if ttl is None else self._host.now_ms + ttl * 1000)

    def _delete(self, key: str) -> None:
        _check_name("key", key)
        self._writes[key] = None

    def _stage(self, effect: Published | Sent) -> int:
        self._effects.append(effect)
        return len(self._effects) - 1

    def _publish(self, component: str, topic: str, event: bytes) -> int:
        return self._stage(Published(self._actor.id, f"{component}/{topic}", _decoded(event)))

    def _send(self, name: str, operation: str, data: bytes, metadata: list[tuple[str, str]]) -> int:
        return self._stage(Sent(self._actor.id, name, operation, _decoded(data), dict(metadata)))

    def _log_outcome(self, effect: int, delivered: str, _undeliverable: str) -> None:
        if effect >= len(self._effects):
            raise HostError("not-found", f"this turn has no effect {effect}")
        self._outcomes[effect] = delivered

    def _invoke_binding(self, name: str, operation: str, data: bytes, metadata: list[tuple[str, str]]) -> Any:
        answer = self._host.answers.bindings.get(name)
        if answer is None:
            raise _denied(f"the binding {name}")
        value = answer(operation, data, dict(metadata))
        return SimpleNamespace(data=value.encode() if isinstance(value, str) else json.to_bytes(value), metadata=[])

    def _invoke_actor(self, agent_type: str, actor_id: str, method: str, payload: bytes) -> bytes:
        answer = self._host.answers.actors.get(agent_type)
        if answer is None:
            raise _denied(f"the agent type {agent_type}")
        try:
            reply = answer(actor_id, method, json.from_bytes(payload))
        except Failure as e:
            raise HostError("other" if e.case == "failed" else e.case, str(e)) from None
        return json.to_bytes(reply)

    def _secret(self, name: str) -> list[tuple[str, str]]:
        found = self._host.answers.secrets.get(name)
        if found is None:
            raise _denied(f"the secret {name}")
        return [(name, found)] if isinstance(found, str) else list(found.items())

    def _door(self, kind: str, hook: str) -> SimpleNamespace:
        def register(name: str, schedule: Any, data: bytes) -> None:
            if hook not in self._host.definition.hooks:
                raise HostError("invalid", f"the agent has no {hook}()")
            if schedule.period_ms == 0:
                raise HostError("invalid", "a period of 0")
            if schedule.ttl_ms is not None and schedule.ttl_ms < schedule.due_ms:
                raise HostError("invalid", "the time to live ends before it is due, so it could never fire")
            _check_name("name", name)
            self._wake_ups[kind, name] = WakeUp(kind, name, schedule, data)

        def unregister(name: str) -> None:
            _check_name("name", name)
            self._wake_ups[kind, name] = None

        def get(name: str) -> WakeUp | None:
            _check_name("name", name)
            place = (kind, name)
            return self._wake_ups[place] if place in self._wake_ups else self._actor.wake_ups.get(place)

        return SimpleNamespace(register=register, unregister=unregister, get=get)


def _check_name(what: str, name: str) -> None:
    has_control = any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name)
    if not name or "||" in name or name.startswith("daca:") or has_control:
        raise HostError("invalid", f"the {what} {name!r}")


def _denied(what: str) -> HostError:
    return HostError("denied", f"{what} is not given to this TestHost")


def _decoded(data: bytes) -> Any:
    """JSON as its value, other text as text, anything else as bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        return json.loads(text)
    except ValueError:
        return text
