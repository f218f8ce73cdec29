"""An agent: one conversation for each actor.

A call is one turn: state, events and reminders take effect together when the method returns, and not at all when it
raises. Only `state` lasts.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from daca import Invalid, actor_id, agent, method, publish, reminders, state

# The messages of a conversation that are kept.
KEPT = 10
# A conversation is forgotten when nobody has said anything for this time.
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass
class Said:
    """What a caller says."""

    content: str


@agent
class AgentName:
    @method("Say")
    def say(self, message: Said) -> dict[str, str]:
        """Answers a message, and keeps both."""
        if message.content == "":
            raise Invalid("the message has no content")
        said = {"role": "user", "content": message.content}
        answer = {"role": "assistant", "content": f"Got your message: {message.content}"}
        state.set("history", [*self.history(), said, answer][-KEPT:])
        publish("pubsub/chat", {"id": actor_id(), "said": said, "answer": answer})
        reminders.register("forget", due=FORGOTTEN_AFTER)
        return answer

    @method("History")
    def history(self) -> list[dict[str, str]]:
        """The kept messages, oldest first."""
        return state.get("history", [])

    def on_reminder(self, name: str, data: Any) -> None:
        logging.info("%s: nobody has said anything for a day", name)
        state.delete("history")
