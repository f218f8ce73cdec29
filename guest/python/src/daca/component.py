"""The exports of a component, made of an agent. The entry module that `daca-py build` writes calls them."""

import gc
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from . import _host, log, traces
from ._loop import refuse_loops
from .activation import Activation, cause_of, failed_effect, failure_of
from .agents import Definition

_CASES = {"invalid": "Failure_Invalid", "not-found": "Failure_NotFound", "failed": "Failure_Failed"}
#: What `keys` of the contract begins with to say that it failed: it returns no result.
_FAILED = "daca:failed\n"


class Component:
    """An agent behind the contract's exports."""

    def __init__(self, definition: Definition, interfaces: dict[str, Any], error: Callable[[Any], Exception]) -> None:
        """`interfaces` are the modules of the world, and `error` makes the exception of a failure."""
        self._definition = definition
        self._activation = Activation(definition)
        self._types = interfaces["types"]
        self._error = error
        self._is_fresh = True
        _host.use({**interfaces, "logging": _logging(interfaces["logging"])})
        log.install()
        refuse_loops()
        # What is printed is a line of the log at once, and not when a buffer is full.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        # What importing left behind would be in every instance.
        gc.collect()
        gc.freeze()

    def invoke(self, name: str, payload: bytes) -> bytes:
        return self._run(lambda: self._activation.invoke(name, bytes(payload)))  # type: ignore[no-any-return]

    def hook(self, name: str) -> None:
        self._run(lambda: self._activation.hook(name))

    def wake_up(self, hook: str, name: str, data: bytes) -> None:
        self._run(lambda: self._activation.wake_up(hook, name, data))

    def effect_failed(self, effect: Any, reason: Any) -> None:
        def call() -> None:
            code = type(reason).__name__.removeprefix("Error_")
            code = {"NotFound": "not-found", "TooLarge": "too-large"}.get(code, code.lower())
            self._activation.effect_failed(failed_effect(effect), code, reason.value)

        self._run(call)

    def label(self) -> str:
        return self._definition.schema or ""

    def keys(self, from_label: str) -> list[str]:
        try:
            return self._called(lambda: self._activation.keys(from_label))  # type: ignore[no-any-return]
        except Exception as raised:
            return [_FAILED + _told(raised)[1]]

    def migrate(self, from_label: str, pairs: Any) -> Any:
        return self._run(lambda: self._activation.migrate(from_label, pairs))

    def _run(self, call: Callable[[], Any]) -> Any:
        try:
            return self._called(call)
        except Exception as raised:
            case, text = _told(raised)
        raise self._error(getattr(self._types, _CASES[case])(text))

    def _called(self, call: Callable[[], Any]) -> Any:
        if self._is_fresh:
            self._is_fresh = False
            _reseed()
        try:
            return call()
        finally:
            sys.stdout.flush()


def _told(raised: Exception) -> tuple[str, str]:
    """What the host is told of an exception: the case and the text. The log gets the cause of a failure on purpose."""
    case, text = failure_of(raised)
    if (cause := cause_of(raised)) is not None:
        log.error(cause)
    return case, _encodable(text)


def _reseed() -> None:
    # The component is a snapshot: without this, every instance would draw the same numbers.
    random = sys.modules.get("random")
    if random is not None:
        random.seed()


def _encodable(text: str) -> str:
    """Text that has bytes: half of a surrogate pair has none."""
    return text.encode(errors="replace").decode()


def _logging(module: Any) -> Any:
    names = ("trace", "debug", "info", "warn", "error", "critical")
    levels = {name: getattr(module.Level, name.upper()) for name in names}
    write = module.log
    return SimpleNamespace(log=lambda level, context, message: write(levels[level], context, _encodable(message)))


def know_sources(files: list[str], folders: dict[str, str]) -> None:
    """Keeps the lines of the author's files for tracebacks. `files` are those in the component."""
    for file in files:
        with open(file, encoding="utf-8") as source:
            traces.sources[file] = source.read().splitlines()
    traces.folders.update(folders)
