"""JSON as the host has it: UTF-8 without spaces. `dumps` and `loads` are those of the standard library otherwise."""

import dataclasses
import enum
import json as _json
from typing import Any


class Object(dict):  # type: ignore[type-arg]
    """A `dict` that came as JSON, and is shown as JSON: log lines read alike in every language."""

    __slots__ = ()

    def __str__(self) -> str:
        return dumps(self)


class Array(list):  # type: ignore[type-arg]
    """A `list` that came as JSON, and is shown as JSON."""

    __slots__ = ()

    def __str__(self) -> str:
        return dumps(self)


def dumps(value: Any) -> str:
    """The JSON of a value. Dataclasses are objects, and members of an enum are their values."""
    return _encoder.encode(value)


def loads(text: str | bytes | bytearray) -> Any:
    """The value of JSON."""
    if not isinstance(text, str):
        text = text.decode()
    try:
        return _arrays(_decoder.decode(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def to_bytes(value: Any) -> bytes:
    """The bytes of a value as JSON. Bytes stay as they are."""
    return bytes(value) if isinstance(value, (bytes, bytearray)) else dumps(value).encode()


def from_bytes(data: bytes) -> Any:
    """The value of bytes that hold JSON; `None` for no bytes at all."""
    return loads(data) if data else None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _object(fields: dict[str, Any]) -> Object:
    for name, value in fields.items():
        if type(value) is list:
            fields[name] = _arrays(value)
    return Object(fields)


def _arrays(value: Any) -> Any:
    return Array(map(_arrays, value)) if type(value) is list else value


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise ValueError(f"the number {text} is too large")
    return number


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_encoder = _json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_decoder = _json.JSONDecoder(object_hook=_object, parse_float=_finite, parse_constant=_refuse)
