"""What an agent does not have, an event loop, and what says so where `asyncio` needs one."""

import sys
from types import TracebackType
from typing import Any

NO_LOOP = (
    "an agent has no event loop: call the host without asyncio, await one coroutine after the other, and use reminders "
    "and timers to wait"
)
#: Parts of the messages with which `asyncio` misses a loop, or a task in it.
_MISSED = ("event loop", "inside a task", "parent task")


class NeverSettles(RuntimeError):
    """A coroutine awaits what nothing in an agent can bring about."""

    def __init__(self, awaited: Any) -> None:
        super().__init__(f"the method awaits {type(awaited).__name__}, which nothing settles: {NO_LOOP}")


def refuse_loop() -> Any:
    """In the place of `asyncio.new_event_loop`: `asyncio.run` and `asyncio.Runner` ask it for theirs."""
    raise RuntimeError(NO_LOOP)


def refuse_loops() -> None:
    """Refuses event loops for good, if the agent has imported `asyncio`. They would fail in a socket."""
    for name in ("asyncio", "asyncio.events"):
        if (module := sys.modules.get(name)) is not None:
            module.new_event_loop = refuse_loop  # type: ignore[attr-defined]


def explain(raised: BaseException) -> None:
    """Adds what to do instead to an exception of `asyncio` that is raised for want of a loop."""
    message = str(raised)
    if NO_LOOP in message or NO_LOOP in getattr(raised, "__notes__", ()):
        return
    is_missed = isinstance(raised, RuntimeError) and any(part in message for part in _MISSED)
    # A loop has a socket of its own, to be woken by. Locks and queues ask `None` for a future.
    is_refused = isinstance(raised, (OSError, NotImplementedError)) or "'create_future'" in message
    if is_missed or (is_refused and _is_in_asyncio(raised.__traceback__)):
        raised.add_note(NO_LOOP)


def _is_in_asyncio(trace: TracebackType | None) -> bool:
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "asyncio":
            return True
        trace = trace.tb_next
    return False
