"""Settings of the agent type, from the manifest."""

from ._host import host
from .failures import ask


def get(key: str, default: str | None = None) -> str | None:
    """The value of a setting, or `default`."""
    value = ask(host("config").get, key)
    return default if value is None else value


def get_all() -> dict[str, str]:
    """All settings of the agent type."""
    return dict(ask(host("config").get_all))
