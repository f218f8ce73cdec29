"""Makes a component of an agent's module."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from .entry import AUTHORS, entry_module
from .world import WORLD, world_of, write_world

#: The SDK's own folders and modules that no component needs.
_NOT_IN_COMPONENTS = ignore_patterns(
    "build", "testing.py", "_turn.py", "pytest_plugin.py", "wit", "__pycache__", "py.typed"
)
_TAKEN = {"daca", "daca_entry", "wit_world", "componentize_py_types", "componentize_py_runtime", "poll_loop"}


class BuildError(Exception):
    """A fault of the author's files, in the form that people read."""


def build_component(entry: Path) -> bytes:
    """The component of an agent's module. Raises `BuildError`."""
    told = describe(entry)
    with TemporaryDirectory(prefix="daca-py-") as temporary:
        folder = Path(temporary)
        modules = folder / "modules"
        copytree(Path(__file__).parents[1], modules / "daca", ignore=_NOT_IN_COMPONENTS)
        text = entry_module(entry.stem, told["class"], told["interfaces"], told["hooks"], told["files"])
        (modules / "daca_entry.py").write_text(text)
        wit = write_world(folder, world_of(told["interfaces"], told["hooks"]))
        output = folder / "component.wasm"
        # The order decides the folders in the component: the modules are /0, the author's folder /1.
        paths = [modules, entry.resolve().parent, *told["paths"]]
        _componentize(wit, paths, output, entry)
        return output.read_bytes()


def describe(entry: Path) -> dict[str, Any]:
    """What the class has and what its modules use, by loading the module as a test does."""
    if not entry.is_file():
        raise BuildError(f"{entry} does not exist")
    if entry.suffix != ".py" or not entry.stem.isidentifier():
        raise BuildError(f"{entry} is no Python module: its name must be that of a module, such as chat_agent.py")
    if entry.stem in _TAKEN or entry.stem in sys.stdlib_module_names:
        raise BuildError(f"{entry} has the name of another module, {entry.stem}: rename it")
    command = [sys.executable, "-B", "-P", "-m", "daca.build.describe", str(entry.resolve())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BuildError(f"{entry} ends Python while it is loaded, with status {done.returncode}") from None
    if "error" in told:
        raise BuildError(told["error"])
    return told


def _componentize(wit: Path, paths: list[Any], output: Path, entry: Path) -> None:
    command = [sys.executable, "-P", "-c", "from componentize_py import script; script()"]
    command += ["-q", "-d", str(wit), "-w", WORLD, "componentize"]
    for path in paths:
        command += ["-p", str(path)]
    # A backtrace of the tool itself says nothing about the agent.
    environment = {**os.environ, "RUST_BACKTRACE": "0"}
    done = subprocess.run(
        [*command, "daca_entry", "-o", str(output)], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != 0 or not output.is_file():
        raise BuildError(_told(done.stderr + done.stdout, entry))


def _told(said: str, entry: Path) -> str:
    """The error of componentize-py as one of the author's file and line, if it is one."""
    trace = said.partition("\nCaused by:")[0]
    places = re.findall(rf'File "{AUTHORS}([^"]+)", line (\d+)', trace)
    errors = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception|Exit|Iteration)\b.*)$", trace, re.MULTILINE)
    # The first one is that of the tool, around the agent's.
    error = errors[-1] if len(errors) > 1 or places else trace.strip()[-2000:]
    if not places:
        return f"{entry}: componentize-py: {error}"
    file, line = places[-1]
    hint = ""
    if error.startswith(("ModuleNotFoundError", "ImportError")):
        hint = ". A component has the standard library without sockets, processes, ssl and ctypes"
    return f"{os.path.relpath(entry.parent / file)}:{line}: {error}{hint}"
