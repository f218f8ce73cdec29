"""The host's log. Lines of the standard library's `logging` go there, too, and so does what is printed."""

import logging
import sys
from typing import Any

from . import traces
from ._host import host


def trace(*parts: Any) -> None:
    _write("trace", parts)


def debug(*parts: Any) -> None:
    _write("debug", parts)


def info(*parts: Any) -> None:
    _write("info", parts)


def warn(*parts: Any) -> None:
    _write("warn", parts)


def error(*parts: Any) -> None:
    _write("error", parts)


def _write(level: str, parts: tuple[Any, ...]) -> None:
    host("logging").log(level, "", " ".join(map(str, parts)))


class Handler(logging.Handler):
    """Writes the lines of `logging` to the host's log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1]:
                text = f"{text}\n{traces.text_of(record.exc_info[1])}"
            context = "" if record.name == "root" else record.name
            host("logging").log(_level(record.levelno), context, text)
        except Exception:
            self.handleError(record)


def _level(number: int) -> str:
    for least, name in ((50, "critical"), (40, "error"), (30, "warn"), (20, "info"), (10, "debug")):
        if number >= least:
            return name
    return "trace"


def install() -> None:
    """Makes the host's log that of `logging`: its handlers for standard output and standard error end.

    The level is the one that the agent chose, or INFO.
    """
    root = logging.getLogger()
    untouched = root.level == logging.WARNING
    for handler in root.handlers[:]:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr):
            root.removeHandler(handler)
    root.addHandler(Handler())
    if untouched:
        root.setLevel(logging.INFO)
