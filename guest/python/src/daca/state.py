"""The actor's own durable state. Writes are staged, and commit when the turn succeeds."""

from collections.abc import Iterable
from typing import Any

from . import json
from ._host import host
from .failures import ask
from .typed import converter


def get(key: str, default: Any = None, *, into: Any = None) -> Any:
    """The value of a key, or `default` when there is none. `into` is the type to make of it, such as a dataclass."""
    data = ask(host("state").get, key)
    if data is None:
        return default
    value = json.from_bytes(data)
    return value if into is None else converter(into)(value, f"the state under {key!r}")


def get_many(keys: Iterable[str]) -> list[Any]:
    """The values of several keys, read in one request; `None` for those that do not exist."""
    found = ask(host("state").get_many, list(keys))
    return [None if data is None else json.from_bytes(data) for data in found]


def get_bytes(key: str) -> bytes | None:
    """The bytes of a key."""
    data = ask(host("state").get, key)
    return None if data is None else bytes(data)


def set(key: str, value: Any, *, ttl: int | None = None) -> None:
    """Stages a write. `ttl` is in seconds; without it the value is kept. Bytes are written as they are."""
    ask(host("state").set, key, json.to_bytes(value), ttl)


def delete(key: str) -> None:
    """Stages a removal."""
    ask(host("state").delete, key)
