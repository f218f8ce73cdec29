"""The command `daca-py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .component import BuildError, build_component
from .memory import first_memory

_MIB = 1024 * 1024
#: What the host gives an agent type without the key `memory` in the manifest.
_DEFAULT_MEMORY = 16 * _MIB


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="daca-py", description="Agents for the DACA host in Python.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build a component", description="Builds a component.")
    build.add_argument("entry", metavar="ENTRY", type=Path, help="the module of the agent, such as chat_agent.py")
    build.add_argument("-o", "--output", metavar="FILE", type=Path, help="the component; by default ENTRY with .wasm")
    given = parser.parse_args(arguments)
    entry: Path = given.entry
    output: Path = given.output or Path(entry.with_suffix(".wasm").name)
    try:
        component = build_component(entry)
        output.write_bytes(component)
    except (BuildError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    memory = first_memory(component)
    print(f"{output}: {len(component):,} bytes, {memory / _MIB:.1f} MiB of memory at first")
    if memory > _DEFAULT_MEMORY:
        print(
            "warning: an agent type has 16 MiB by default. Import less, or give it more in the manifest:\n"
            f'  [agents.TYPE.limits]\n  memory = "{(memory // _DEFAULT_MEMORY + 1) * 16}MiB"',
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
