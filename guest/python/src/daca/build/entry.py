"""The module that a component begins with: the exports of its world, by the names that componentize-py has for them."""

from .world import optional_exports

#: The folder of the author's modules in the component, by the order of the paths that componentize-py gets.
AUTHORS = "/1/"

_CLASSES = {
    "lifecycle": '''
class Lifecycle:
    def activate(self):
        _component.hook("activate")

    def deactivate(self):
        _component.hook("deactivate")
''',
    "on-reminder": '''
class OnReminder:
    def on_reminder(self, name, data):
        _component.wake_up("on_reminder", name, data)
''',
    "on-timer": '''
class OnTimer:
    def on_timer(self, name, data):
        _component.wake_up("on_timer", name, data)
''',
    "on-effect-failed": '''
class OnEffectFailed:
    def on_effect_failed(self, effect, reason):
        _component.effect_failed(effect, reason)
''',
    "migration": '''
class Migration:
    def label(self):
        return _component.label()

    def keys(self, from_label):
        return _component.keys(from_label)

    def migrate(self, from_label, state):
        return _component.migrate(from_label, state)
''',
}


def entry_module(module: str, cls: str, interfaces: list[str], hooks: list[str], files: list[str]) -> str:
    """The text of the module."""
    names = ["types", *interfaces]
    imports = "\n".join(
        f"import wit_world.imports.{'store' if name == 'config' else name} as _{name}" for name in names
    )
    table = ", ".join(f'"{name}": _{name}' for name in names)
    sources = [AUTHORS + file for file in files]
    return f'''import sys as _sys
_sys.dont_write_bytecode = True  # the author's folder stays as it is

import componentize_py_types as _results
{imports}
from daca.agents import definition as _definition
from daca.component import Component as _Component, know_sources as _know_sources
import {module} as _module

_know_sources({sources!r}, {{{AUTHORS!r}: ""}})
_component = _Component(_definition(_module.{cls}), {{{table}}}, _results.Err)


class Actor:
    def invoke(self, method, payload):
        return _component.invoke(method, payload)
''' + "".join("\n" + _CLASSES[name] for name in optional_exports(hooks))
