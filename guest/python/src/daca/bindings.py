"""Output bindings. Text is sent as it is, bytes too, anything else as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import json as _json
from ._host import host
from .effects import Effect
from .failures import ask


@dataclass(frozen=True)
class Response:
    """What a binding answered."""

    data: bytes
    metadata: dict[str, str]

    def text(self) -> str:
        return self.data.decode()

    def json(self) -> Any:
        return _json.from_bytes(self.data)


def invoke(name: str, operation: str, data: Any = None, metadata: Mapping[str, Any] | None = None) -> Response:
    """Calls a binding now and waits. The call stands even if the turn fails: use it to read, and `send` to write."""
    answer = ask(host("bindings").invoke, name, operation, _data(data), _pairs(metadata))
    return Response(bytes(answer.data), dict(answer.metadata))


def send(name: str, operation: str, data: Any = None, metadata: Mapping[str, Any] | None = None) -> Effect:
    """Stages a one-way call of a binding."""
    return Effect(ask(host("bindings").send, name, operation, _data(data), _pairs(metadata)))


def _data(value: Any) -> bytes:
    # An SMS is its text, and not its text in quotes.
    if isinstance(value, str):
        return value.encode()
    return b"" if value is None else _json.to_bytes(value)


def _pairs(metadata: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in (metadata or {}).items()]
