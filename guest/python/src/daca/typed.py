"""Values of JSON as the types that an author wrote: dataclasses, typed dictionaries, lists, enums and plain values."""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

#: Makes a value of a type; the second argument names the place, for the error.
Converter = Callable[[Any, str], Any]


class Mismatch(ValueError):
    """A value that is not of the type."""


def _mismatch(place: str, wanted: str, value: Any) -> Mismatch:
    return Mismatch(f"{place} must be {wanted}, and is {_kind(value)}")


def _kind(value: Any) -> str:
    for kinds, name in (
        (type(None), "null"), (bool, "a boolean"), (str, "a string"), ((int, float), "a number"), (list, "a list"),
        (dict, "an object"),
    ):
        if isinstance(value, kinds):
            return name
    return f"a {type(value).__name__}"


@functools.cache
def converter(kind: Any) -> Converter:
    """The converter of a type. Raises `TypeError` for a type that has no JSON."""
    if kind is Any or kind is object:
        return _as_it_is
    if kind in _PLAIN:
        return _plain(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind)
    if typing.is_typeddict(kind):
        return _typed_dict(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind)
    return _generic(kind, typing.get_origin(kind), typing.get_args(kind))


def _as_it_is(value: Any, place: str) -> Any:
    return value


_PLAIN: dict[Any, tuple[Any, str]] = {
    str: (str, "a string"), bool: (bool, "a boolean"), int: (int, "a whole number"), float: ((int, float), "a number"),
    None: (type(None), "null"), type(None): (type(None), "null"), dict: (dict, "an object"), list: (list, "a list"),
}


def _plain(kind: Any) -> Converter:
    fits, wanted = _PLAIN[kind]
    # `True` is an `int` to Python, and no number to JSON.
    numeric = kind in (int, float)

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, fits) or (numeric and isinstance(value, bool)):
            raise _mismatch(place, wanted, value)
        return float(value) if kind is float else value

    return convert


def _fields(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except NameError as e:
        raise TypeError(f"{kind.__qualname__}: the type {e.name} is not known") from None


def _dataclass(kind: Any) -> Converter:
    # Made at the first use: a class may contain itself.
    @functools.cache
    def fields() -> list[tuple[str, Converter, bool]]:
        hints = _fields(kind)
        nothing = dataclasses.MISSING
        return [
            (field.name, converter(hints[field.name]), field.default is nothing and field.default_factory is nothing)
            for field in dataclasses.fields(kind)
            if field.init
        ]

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(place, "an object", value)
        given = {}
        for name, make, required in fields():
            if name in value:
                given[name] = make(value[name], f"{place}.{name}")
            elif required:
                raise Mismatch(f"{place}.{name} is missing")
        return kind(**given)

    return convert


def _typed_dict(kind: Any) -> Converter:
    @functools.cache
    def fields() -> list[tuple[str, Converter]]:
        return [(name, converter(hint)) for name, hint in _fields(kind).items()]

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(place, "an object", value)
        for name, make in fields():
            if name in value:
                # Other fields stay, too: a typed dictionary is a view of what came.
                value[name] = make(value[name], f"{place}.{name}")
            elif name in kind.__required_keys__:
                raise Mismatch(f"{place}.{name} is missing")
        return value

    return convert


def _enum(kind: type[enum.Enum]) -> Converter:
    def convert(value: Any, place: str) -> Any:
        try:
            return kind(value)
        except ValueError:
            names = ", ".join(repr(member.value) for member in kind)
            raise Mismatch(f"{place} must be one of {names}") from None

    return convert


def _generic(kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Converter:
    if origin in (typing.Union, types.UnionType):
        return _union([converter(argument) for argument in arguments], arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    if origin is list:
        return _list(converter(arguments[0]))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        items = _list(converter(arguments[0]))
        return lambda value, place: tuple(items(value, place))
    if origin is dict and arguments[0] is str:
        return _dict(converter(arguments[1]))
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return converter(arguments[0])
    name = getattr(kind, "__name__", None) if not arguments else None
    raise TypeError(f"{name or kind} is no type of a JSON value")


def _union(makes: list[Converter], arguments: tuple[Any, ...]) -> Converter:
    def convert(value: Any, place: str) -> Any:
        first: Mismatch | None = None
        for make, kind in zip(makes, arguments):
            try:
                return make(value, place)
            except Mismatch as e:
                # Of `Message | None`, the reason is that of the message.
                first = e if first is None and kind is not type(None) else first
        raise first or Mismatch(f"{place} is of no type that fits")

    return convert


def _literal(values: tuple[Any, ...]) -> Converter:
    def convert(value: Any, place: str) -> Any:
        for one in values:
            if type(one) is type(value) and one == value:
                return one
        raise Mismatch(f"{place} must be one of {', '.join(map(repr, values))}")

    return convert


def _list(make: Converter) -> Converter:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise _mismatch(place, "a list", value)
        return [make(item, f"{place}[{number}]") for number, item in enumerate(value)]

    return convert


def _dict(make: Converter) -> Converter:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(place, "an object", value)
        return {name: make(item, f"{place}.{name}") for name, item in value.items()}

    return convert
