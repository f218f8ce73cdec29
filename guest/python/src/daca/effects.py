"""Effects: what leaves after the turn's commit."""

from typing import Any

from . import json
from ._host import host
from .failures import ask


class Effect:
    """Something that leaves after the turn's commit."""

    def __init__(self, number: int) -> None:
        self._number = number

    def log_outcome(self, delivered: str, undeliverable: str) -> "Effect":
        """The log line that the host writes when the effect has been delivered, or cannot be."""
        ask(host("effects").log_outcome, self._number, delivered, undeliverable)
        return self


def publish(topic: str, event: Any) -> Effect:
    """Stages an event. `component/topic` names the topic, such as `daca-pubsub/user-chat`."""
    component, slash, name = topic.partition("/")
    if not (component and slash):
        raise ValueError(f"{topic!r} is no topic: write component/topic")
    return Effect(ask(host("pubsub").publish, component, name, json.to_bytes(event)))
