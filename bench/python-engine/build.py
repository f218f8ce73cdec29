"""Makes the component of `engine.py` with the SDK's tools: `python build.py OUTPUT`, with the SDK on the path."""

import sys
from pathlib import Path
from shutil import copy, copytree
from tempfile import TemporaryDirectory

from daca.build.component import _NOT_IN_COMPONENTS, _componentize
from daca.build.memory import first_memory
from daca.build.world import world_of, write_world

INTERFACES = (
    "actors", "bindings", "config", "effects", "identity", "logging", "pubsub", "reminders", "secrets", "state",
    "timers",
)
HOOKS = ("activate", "on_reminder", "on_timer", "on_effect_failed")


def main(output: Path) -> None:
    import daca

    engine = Path(__file__).with_name("engine.py")
    with TemporaryDirectory(prefix="daca-engine-") as temporary:
        folder = Path(temporary)
        modules = folder / "modules"
        copytree(Path(daca.__file__).parent, modules / "daca", ignore=_NOT_IN_COMPONENTS)
        copy(engine, modules / "daca_entry.py")
        wit = write_world(folder, world_of(INTERFACES, HOOKS))
        _componentize(wit, [modules], output, engine)
    component = output.read_bytes()
    print(f"{output}: {len(component):,} bytes, {first_memory(component) / 2**20:.1f} MiB of memory at first")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
