"""The entry module of a component that evaluates a script in Python in each activation, as an engine of the host would.

The host has no such engine: this is what `cargo xtask bench python-engine` measures in its place. The script is the
setting `script`; an engine would get it by an import of its own, as that for JavaScript does.
"""

import sys as _sys

_sys.dont_write_bytecode = True

from types import ModuleType, SimpleNamespace  # noqa: E402

import componentize_py_types as _results  # noqa: E402

# What scripts may import: a component has only what was imported when it was made.
import array, base64, bisect, calendar, collections, collections.abc, contextlib, copy, csv, dataclasses  # noqa: E401, E402, F401
import datetime, decimal, difflib, enum, fractions, functools, hashlib, heapq, hmac, html, io, itertools  # noqa: E401, E402, F401
import json, logging, math, operator, random, re, secrets, statistics, string, struct, textwrap, time  # noqa: E401, E402, F401
import traceback, types, typing, unicodedata, urllib.parse, uuid, zlib  # noqa: E401, E402, F401

import daca.dapr  # noqa: E402
from daca import agent, method, traces  # noqa: E402
from daca.activation import Activation  # noqa: E402
from daca.agents import definition  # noqa: E402
from daca.component import Component  # noqa: E402
from wit_world.imports import (  # noqa: E402
    actors, bindings, effects, identity, logging as _logging, pubsub, reminders, secrets as _secrets, state, store,
    timers, types as _types,
)

#: What the evaluated script is called in tracebacks.
FILE = "script.py"


@agent
class Nothing:
    """The agent until a script is evaluated."""

    @method
    def nothing(self) -> None:
        pass


INTERFACES = {
    "types": _types, "actors": actors, "bindings": bindings, "config": store, "effects": effects, "identity": identity,
    "logging": _logging, "pubsub": pubsub, "reminders": reminders, "secrets": _secrets, "state": state,
    "timers": timers,
}
_component = Component(definition(Nothing), INTERFACES, _results.Err)
_loaded = SimpleNamespace(script=None)


def _load() -> Component:
    """The component, once the script is evaluated."""
    if _loaded.script is None:
        text = store.get("script") or ""
        traces.sources[FILE] = text.splitlines()
        script = ModuleType("script")
        _sys.modules["script"] = script
        exec(compile(text, FILE, "exec"), script.__dict__)
        made = definition(next(value for value in vars(script).values() if _is_agent(value)))
        _component._definition = made
        _component._activation = Activation(made)
        _loaded.script = script
    return _component


def _is_agent(value: object) -> bool:
    if not isinstance(value, type) or value is daca.dapr.Actor:
        return False
    return "__daca_agent__" in vars(value) or issubclass(value, daca.dapr.Actor)


class Actor:
    def invoke(self, method, payload):
        return _load().invoke(method, payload)


class Lifecycle:
    def activate(self):
        _load().hook("activate")

    def deactivate(self):
        _load().hook("deactivate")


class OnReminder:
    def on_reminder(self, name, data):
        _load().wake_up("on_reminder", name, data)


class OnTimer:
    def on_timer(self, name, data):
        _load().wake_up("on_timer", name, data)


class OnEffectFailed:
    def on_effect_failed(self, effect, reason):
        _load().effect_failed(effect, reason)
