"""The host's interfaces: those of the component's world, or those of a turn of `daca.testing`."""

from typing import Any

_interfaces: dict[str, Any] = {}


def use(interfaces: dict[str, Any]) -> dict[str, Any]:
    """Puts interfaces in place, by the names of the contract, and returns those that were there before."""
    global _interfaces
    before, _interfaces = _interfaces, interfaces
    return before


def host(name: str) -> Any:
    """An interface of the host."""
    try:
        return _interfaces[name]
    except KeyError:
        pass
    if not _interfaces:
        raise RuntimeError(
            "the host can be called within a turn only: in a method or a hook, not while a module is loaded"
        )
    raise RuntimeError(
        f"the component does not import the interface `{name}`: `daca-py build` found no use of it in the agent's "
        "modules. It finds names of `daca` that are written out, such as `from daca import state`"
    )
