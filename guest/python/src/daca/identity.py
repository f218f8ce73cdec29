"""Who this actor is."""

from ._host import host


def actor_id() -> str:
    """The id of this actor within its type, such as `user1`."""
    return host("identity").actor_id()  # type: ignore[no-any-return]


def agent_type() -> str:
    """The agent type, such as `ChatAgent`."""
    return host("identity").agent_type()  # type: ignore[no-any-return]


def turn_id() -> str:
    """The id of the current turn: the field `turn` of the host's log lines."""
    return host("identity").turn_id()  # type: ignore[no-any-return]
