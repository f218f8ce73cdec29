"""Secrets of the host's secret store."""

from ._host import host
from .failures import ask


def get(name: str) -> dict[str, str]:
    """The values of a secret, by key. A store that keeps single values returns one, whose key is the secret's name."""
    return dict(ask(host("secrets").get, name))
