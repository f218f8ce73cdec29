"""Loads an agent's module as a test does, and prints what the build needs to know of it as JSON.

Runs as a process of its own: `python -P -m daca.build.describe ENTRY`.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import _host
from ..agents import Definition, definition
from ..dapr import Actor
from .uses import interfaces


def main(entry: Path) -> dict[str, Any]:
    folder = entry.parent
    sys.path.insert(0, str(folder))
    sdk = Path(__file__).parents[1]
    try:
        module = importlib.import_module(entry.stem)
    except SyntaxError as e:
        return {"error": _syntax(e, folder)}
    except (Exception, SystemExit) as e:
        return {"error": f"{_place(e, entry)}: {type(e).__name__}: {e}"}
    found = {name: value for name, value in vars(module).items() if _is_agent(value)}
    if not found:
        return {"error": f"{_shown(entry)} has no agent: write @agent above a class"}
    if len(set(found.values())) > 1:
        return {"error": f"{_shown(entry)} has {len(found)} agents, {' and '.join(found)}: a component has one"}
    name, cls = next(iter(found.items()))
    try:
        made: Definition = definition(cls)
    except TypeError as e:
        return {"error": f"{_shown(entry)}: {e}"}
    files, paths, used = list[str](), set[str](), {"logging"}
    for each in list(sys.modules.values()):
        file = Path(getattr(each, "__file__", None) or "/")
        if file.suffix != ".py" or file.is_relative_to(sdk) or _is_standard(each.__name__):
            continue
        own = file.is_relative_to(folder) and "site-packages" not in file.parts
        if own:
            files.append(str(file.relative_to(folder)))
        else:
            paths.add(max((path for path in sys.path if path and file.is_relative_to(path)), key=len, default=""))
        source = file.read_text(encoding="utf-8", errors="replace")
        if own or "daca" in source:
            try:
                used |= interfaces(source, str(file))
            except SyntaxError as e:
                return {"error": _syntax(e, folder)}
    if (fault := _fault_of_instance(made, entry)) is not None:
        return {"error": fault}
    return {
        "class": name,
        "hooks": sorted(made.hooks),
        "interfaces": sorted(used),
        "files": sorted(files),
        "paths": sorted(paths - {""}),
    }


class _NoHost(dict[str, Any]):
    """The interfaces of the host while a component is built: there are none, but for the log, which is dropped."""

    is_asked = False

    def __missing__(self, name: str) -> Any:
        self.is_asked = True
        raise RuntimeError(f"there is no host while a component is built: {name}")


def _fault_of_instance(made: Definition, entry: Path) -> str | None:
    """Why the class cannot be made. Nothing is said of one that asks the host for something."""
    no_host = _NoHost(logging=SimpleNamespace(log=lambda *_: None))
    before = _host.use(no_host)
    try:
        getattr(made.cls, "__daca_new__", made.cls)()
    except (Exception, SystemExit) as e:
        return None if no_host.is_asked else f"{_place(e, entry)}: the class cannot be made: {type(e).__name__}: {e}"
    finally:
        _host.use(before)
    return None


def _is_agent(value: Any) -> bool:
    if not isinstance(value, type) or value is Actor:
        return False
    return "__daca_agent__" in vars(value) or issubclass(value, Actor)


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names or name == "__main__"


def _shown(file: str | Path) -> str:
    """A file as an author names it."""
    shown = os.path.relpath(file)
    return str(file) if shown.startswith("..") else shown


def _syntax(e: SyntaxError, folder: Path) -> str:
    return f"{_shown(e.filename or folder)}:{e.lineno}:{e.offset or 1}: {e.msg}"


def _place(e: BaseException, entry: Path) -> str:
    """The last line of the author's own files that the exception came through."""
    place, trace = _shown(entry), e.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(entry.parent) and "site-packages" not in file.parts:
            place = f"{_shown(file)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


if __name__ == "__main__":
    # What the module prints is not the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps(main(Path(sys.argv[1]))), file=answer)
