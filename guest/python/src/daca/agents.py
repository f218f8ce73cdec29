"""What makes a class an agent: which of its methods callers reach, and how a payload becomes an argument."""

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from . import json
from .failures import Invalid
from .typed import Mismatch, converter

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

#: Methods that the host calls, and no caller.
HOOKS = ("activate", "deactivate", "on_reminder", "on_timer", "on_effect_failed", "migrate")


#: The most bytes of a schema's label.
_MAX_SCHEMA = 64


@dataclass(frozen=True)
class Mark:
    """What makes a function a method of the agent."""

    name: str
    #: Whether the payload becomes a value of the parameter's type.
    is_typed: bool = True


@overload
def method(name: F) -> F: ...
@overload
def method(name: str | None = None) -> Callable[[F], F]: ...
def method(name: Any = None) -> Any:
    """Makes a method of the class one of the agent: `@method("ProcessMessage")`.

    Without a name it is that of the function in `PascalCase`.
    """

    def mark(function: F) -> F:
        words = function.__name__.split("_")
        chosen = name if isinstance(name, str) else "".join(word[:1].upper() + word[1:] for word in words)
        if not chosen or chosen.startswith("daca:"):
            raise TypeError(f"{chosen!r} cannot be the name of a method")
        function.__daca_method__ = Mark(chosen)  # type: ignore[attr-defined]
        return function

    return mark(name) if callable(name) else mark


@overload
def agent(cls: C) -> C: ...
@overload
def agent(
    *, schema: str | None = None, migrates: Iterable[str] | Callable[[str], Iterable[str]] = ()
) -> Callable[[C], C]: ...
def agent(cls: Any = None, *, schema: str | None = None, migrates: Any = ()) -> Any:
    """Makes a class an agent. Callers reach what `@method` marks.

    Hooks, all optional: `activate()`, `deactivate()`, `on_reminder(name, data)`, `on_timer(name, data)`,
    `on_effect_failed(effect, reason)`, and `migrate(state, from_label)` with the label of the state's schema and the
    keys that it reads, or a function from the old label to them. The attributes of an instance may be lost between two
    turns; only `state` is durable.
    """

    def make(cls: C) -> C:
        cls.__daca_agent__ = Definition.of(cls, schema, migrates)  # type: ignore[attr-defined]
        return cls

    return make if cls is None else make(cls)


@dataclass
class Method:
    """A method that callers reach."""

    attribute: str
    argument: Callable[[bytes], tuple[Any, ...]]


@dataclass
class Definition:
    """What the SDK knows of an agent's class."""

    cls: type
    methods: dict[str, Method] = field(default_factory=dict)
    #: The class's own name of each hook that it has.
    hooks: dict[str, str] = field(default_factory=dict)
    schema: str | None = None
    keys: Callable[[str], Iterable[str]] = lambda _: ()

    @staticmethod
    def of(cls: Any, schema: str | None = None, migrates: Any = ()) -> "Definition":
        if not isinstance(cls, type):
            raise TypeError("@agent is for a class")
        _check_schema(cls, schema)
        made = Definition(cls, schema=schema, keys=_keys(cls, migrates))
        aliases = getattr(cls, "__daca_hooks__", {})
        # The order is that of the classes' texts, so that errors list methods as the author does.
        for attribute in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
            function = inspect.getattr_static(cls, attribute)
            mark = _mark_of(cls, attribute)
            if not inspect.isfunction(function):
                if mark is not None:
                    raise TypeError(f"{cls.__name__}.{attribute} is no plain method: @method cannot mark it")
                continue
            if attribute in HOOKS:
                made.hooks[attribute] = attribute
            elif attribute in aliases:
                made.hooks[aliases[attribute]] = attribute
            if mark is not None:
                made._add(mark, attribute, function)
        if not made.methods:
            raise TypeError(f"{cls.__name__} has no method for callers: mark one with @method")
        if ("migrate" in made.hooks) != (schema is not None):
            example = '@agent(schema="2", migrates=["key"])'
            raise TypeError(f"{cls.__name__}: migrate() and the schema belong together: {example}")
        return made

    def _add(self, mark: "Mark", attribute: str, function: Any) -> None:
        if mark.name in self.methods:
            raise TypeError(f"{self.cls.__name__} has two methods with the name {mark.name}")
        self.methods[mark.name] = Method(attribute, _argument(mark, function))


def _check_schema(cls: type, schema: Any) -> None:
    if schema is None:
        return
    if not isinstance(schema, str):
        raise TypeError(f"{cls.__name__}: the schema must be a string, and is of type {type(schema).__name__}")
    if not 1 <= len(schema.encode(errors="replace")) <= _MAX_SCHEMA:
        raise TypeError(f"{cls.__name__}: the schema must have 1 to {_MAX_SCHEMA} bytes")


def _keys(cls: type, migrates: Any) -> Callable[[str], Iterable[str]]:
    """The function that names the keys, from those themselves or from the author's function."""
    if callable(migrates):
        named: Callable[[str], Iterable[str]] = migrates
        return named
    if isinstance(migrates, str) or not isinstance(migrates, Iterable):
        raise TypeError(f"{cls.__name__}: migrates must be a list of keys, or a function that returns one")
    # It may be an iterator, which ends with the first migration.
    keys = tuple(migrates)
    return lambda _: keys


def definition(cls: Any) -> Definition:
    """The definition of an agent's class."""
    if not isinstance(cls, type):
        raise TypeError(f"{cls!r} is no agent: it is no class")
    if hasattr(cls, "__daca_new__") and "__daca_agent__" not in vars(cls):
        # Dapr's actors have no decorator.
        agent(cls)
    found = vars(cls).get("__daca_agent__")
    if isinstance(found, Definition):
        return found
    raise TypeError(f"{cls.__name__} is no agent: write @agent above the class")


def _mark_of(cls: type, attribute: str) -> Mark | None:
    """The mark of a method. An interface may have it, and the class below only the code."""
    for base in cls.__mro__:
        found = getattr(vars(base).get(attribute), "__daca_method__", None)
        if isinstance(found, Mark):
            return found
    return None


def _argument(mark: Mark, function: Any) -> Callable[[bytes], tuple[Any, ...]]:
    """Makes the arguments of a method of a payload: none or one."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(required) > 1:
        raise TypeError(f"{function.__qualname__} takes {' and '.join(required)}; a method takes one payload or none")
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        if required:
            raise TypeError(f"{function.__qualname__}: the payload is a positional argument")
        return lambda _: ()
    first = parameters[0]
    try:
        kind = typing.get_type_hints(function).get(first.name, Any) if mark.is_typed else Any
        make = None if kind is bytes else converter(kind)
    except (NameError, TypeError) as e:
        raise TypeError(f"{function.__qualname__}: the parameter {first.name}: {e}") from None
    if make is None:
        return lambda payload: (payload,)

    def arguments(payload: bytes) -> tuple[Any, ...]:
        if not payload:
            if required:
                raise Invalid(f"the method {mark.name} takes a payload")
            return ()
        value = _value(payload)
        if value is None and not required:
            return ()
        try:
            return (make(value, first.name),)
        except Mismatch as e:
            raise Invalid(str(e)) from None

    return arguments


def _value(payload: bytes) -> Any:
    """The value of a payload: what is no JSON is the caller's fault."""
    try:
        text = payload.decode()
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value).encode()
        return value
    except UnicodeEncodeError:
        raise Invalid("the payload is not JSON: it has half of a surrogate pair") from None
    except ValueError as e:
        raise Invalid(f"the payload is not JSON: {e}") from None
