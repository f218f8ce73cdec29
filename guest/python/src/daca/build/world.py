"""The world of a component: what its modules use, and what its class can be called for."""

from collections.abc import Iterable
from pathlib import Path
from shutil import copy, copytree

WORLD = "agent-world"

_INTERFACES = {"config": "wasi:config/store@0.2.0-rc.1", "logging": "wasi:logging/logging@0.1.0-draft"}
_EXPORTS = {
    "activate": "lifecycle", "deactivate": "lifecycle", "on_reminder": "on-reminder", "on_timer": "on-timer",
    "on_effect_failed": "on-effect-failed", "migrate": "migration",
}


def optional_exports(hooks: Iterable[str]) -> list[str]:
    """The interfaces that an agent with these hooks exports besides `actor`."""
    return sorted({_EXPORTS[hook] for hook in hooks})


def world_of(interfaces: Iterable[str], hooks: Iterable[str]) -> str:
    """The text of an agent's own world."""
    imports = [_INTERFACES.get(name, f"daca:agent/{name}@0.1.0") for name in interfaces]
    lines = [f"    import {name};" for name in imports]
    lines += [f"    export daca:agent/{name}@0.1.0;" for name in ["actor", *optional_exports(hooks)]]
    return f"package local:agent;\n\nworld {WORLD} {{\n" + "\n".join(lines) + "\n}\n"


def write_world(folder: Path, world: str) -> Path:
    """Writes a folder of WIT with a world, and returns its path."""
    wit, contract = folder / "wit", _contract()
    (wit / "deps/daca-agent").mkdir(parents=True)
    (wit / "world.wit").write_text(world)
    copy(contract / "agent.wit", wit / "deps/daca-agent/agent.wit")
    copytree(contract / "deps", wit / "deps", dirs_exist_ok=True)
    return wit


def _contract() -> Path:
    """The folder with the contract: that of the repository that the package lies in, or that of the package."""
    package = Path(__file__).parents[1]
    for folder in (package.parents[3] / "wit", package / "wit"):
        if (folder / "agent.wit").is_file():
            return folder
    raise FileNotFoundError(f"the contract is missing: {package / 'wit/agent.wit'}. Install daca-sdk anew")
