"""Why a call fails: what an agent raises to answer its caller, and what it gets when the host rejects a request."""

from collections.abc import Callable
from typing import Any


class Failure(Exception):
    """The base of what an agent raises on purpose. Any other exception is a fault of the agent: status 500."""

    case = "failed"


class Invalid(Failure):
    """The caller's fault: the payload cannot be used. Status 400."""

    case = "invalid"


class NotFound(Failure):
    """The caller's fault: the method, or the item that it asks for, does not exist. Status 404."""

    case = "not-found"


class Failed(Failure):
    """The fault of the agent or of a system that it depends on. Status 500."""


class HostError(Exception):
    """The host rejected a request of the agent. Branch on `code`; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        #: `denied`, `not-found`, `invalid`, `unavailable`, `too-large` or `other`.
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message if self.code == "other" else f"{self.code.replace('-', ' ')}: {self.message}"


_CODES = {"NotFound": "not-found", "TooLarge": "too-large", "Io": "unavailable", "Upstream": "other"}


def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the host. What it rejects is raised as a `HostError`."""
    try:
        return call(*arguments)
    except Exception as raised:
        # The bindings raise `Err(Error_Denied("…"))`. Their modules exist in a component only.
        reason: Any = getattr(raised, "value", None)
        kind = type(reason).__name__
        if type(raised).__name__ != "Err" or not kind.startswith("Error_"):
            raise
        kind = kind.removeprefix("Error_")
        error = HostError(_CODES.get(kind, kind.lower()), str(reason.value))
    raise error
