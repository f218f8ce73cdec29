"""JSON as the host has it: UTF-8 without spaces. `dumps` and `loads` are those of the standard library otherwise.

Both refuse what is nested more deeply than every SDK reads: what is written can be read again.
"""

import dataclasses
import enum
import json as _json
import re
from typing import Any

#: The depth of lists and objects that the SDKs of all languages read.
MAX_DEPTH = 127
_DEEP = f"its lists and objects are nested more than {MAX_DEPTH} levels deep"


class Object(dict):  # type: ignore[type-arg]
    """A `dict` that came as JSON, and is shown as JSON: log lines read alike in every language."""

    __slots__ = ()

    def __str__(self) -> str:
        return _encoder.encode(self)


class Array(list):  # type: ignore[type-arg]
    """A `list` that came as JSON, and is shown as JSON."""

    __slots__ = ()

    def __str__(self) -> str:
        return _encoder.encode(self)


def dumps(value: Any) -> str:
    """The JSON of a value. Dataclasses are objects, and members of an enum are their values."""
    text: str | None
    try:
        text = _encoder.encode(value)
    except RecursionError:
        text = None
    if text is None or _is_too_deep(text):
        raise ValueError(f"a {type(value).__name__} cannot be written as JSON: {_DEEP}")
    return text


def loads(text: str | bytes | bytearray) -> Any:
    """The value of JSON."""
    if not isinstance(text, str):
        text = text.decode()
    try:
        value = _arrays(_decoder.decode(text))
    except RecursionError:
        raise ValueError(_DEEP) from None
    if _is_too_deep(text):
        raise ValueError(_DEEP)
    return value


def to_bytes(value: Any) -> bytes:
    """The bytes of a value as JSON. Bytes stay as they are."""
    return bytes(value) if isinstance(value, (bytes, bytearray)) else dumps(value).encode()


def from_bytes(data: bytes) -> Any:
    """The value of bytes that hold JSON; `None` for no bytes at all."""
    return loads(data) if data else None


def _is_too_deep(text: str) -> bool:
    """Of a text that is JSON."""
    # Most texts have few brackets, and need no closer look.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    brackets = _NO_BRACKET.sub("", text.replace("\\\\", "").replace('\\"', "")).translate(_AS_LISTS)
    for _ in range(MAX_DEPTH):
        # The innermost lists.
        brackets = brackets.replace("[]", "")
    return bool(brackets)


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


#: Texts without escapes, and all that is neither a text nor a bracket.
_NO_BRACKET = re.compile(r'"[^"]*"|[^][{}"]+')
_AS_LISTS = str.maketrans("{}", "[]")
_encoder = _json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_decoder = _json.JSONDecoder(object_hook=_object, parse_float=_finite, parse_constant=_refuse)
