"""What reminders and timers share. Durations are seconds or `timedelta`s."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from . import json
from ._host import host
from .failures import ask

#: Seconds, such as `0.5`, or a `timedelta`.
Duration = float | timedelta


@dataclass(frozen=True)
class Registration:
    """A registered reminder or timer, in seconds."""

    due: float
    period: float | None
    ttl: float | None
    data: Any


def register(
    interface: str, name: str, data: Any, due: Duration, period: Duration | None, ttl: Duration | None
) -> None:
    schedule = host("types").Schedule(
        due_ms=_milliseconds(due),
        period_ms=None if period is None else _milliseconds(period),
        ttl_ms=None if ttl is None else _milliseconds(ttl),
    )
    ask(host(interface).register, name, schedule, b"" if data is None else json.to_bytes(data))


def unregister(interface: str, name: str) -> None:
    ask(host(interface).unregister, name)


def get(interface: str, name: str) -> Registration | None:
    found = ask(host(interface).get, name)
    if found is None:
        return None
    schedule = found.schedule
    return Registration(
        due=schedule.due_ms / 1000,
        period=None if schedule.period_ms is None else schedule.period_ms / 1000,
        ttl=None if schedule.ttl_ms is None else schedule.ttl_ms / 1000,
        data=json.from_bytes(bytes(found.data)),
    )


def _milliseconds(duration: Duration) -> int:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 2**53:
        raise ValueError(f"a reminder or timer cannot wait for {seconds} seconds")
    return round(seconds * 1000)
