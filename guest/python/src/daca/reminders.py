"""Durable wake-ups: `on_reminder(name, data)`. A firing whose turn fails is retried. Durations are seconds."""

from typing import Any

from . import _wakeups
from ._wakeups import Duration, Registration


def register(
    name: str, data: Any = None, *, due: Duration = 0, period: Duration | None = None, ttl: Duration | None = None
) -> None:
    """Stages a reminder. It replaces one of the same name. Each firing carries the data.

    `due` is the time from the commit of this turn to the first firing, `period` from one firing to the next, and
    `ttl` from the commit to the end.
    """
    _wakeups.register("reminders", name, data, due, period, ttl)


def unregister(name: str) -> None:
    """Stages the removal of a reminder."""
    _wakeups.unregister("reminders", name)


def get(name: str) -> Registration | None:
    """The reminder of a name."""
    return _wakeups.get("reminders", name)
