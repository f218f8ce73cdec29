"""The tutorial's ChatAgent, which behaves like the Rust one and is moved over with few changed lines."""

import re
import sys
from pathlib import Path

import pytest

from daca import Invalid

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
CHAT_AGENT = HERE.parents[1] / "chat-agents/python/chat_agent.py"
sys.path.insert(0, str(CHAT_AGENT.parent))

from chat_agent import ChatAgent  # noqa: E402


def test_a_message_is_answered_kept_published_and_sent(daca_host):
    host = daca_host(ChatAgent)
    user = host.actor("user1")
    message = {"role": "user", "content": "Hi", "lang": "ü"}
    answer = {"role": "assistant", "content": "Got your message: Hi"}
    assert user.call("ProcessMessage", message) == answer
    assert user.call("GetConversationHistory") == [message, answer]
    event = {
        "actor_id": "user1", "history_key": "history-user1", "actor_type": "ChatAgent",
        "event_type": "ConversationUpdated", "input": message, "output": answer,
    }
    assert [(e.topic, e.data) for e in host.events] == [("daca-pubsub/user-chat", event)]
    body = "New message from user1: Hi -> Got your message: Hi"
    assert [(s.binding, s.operation, s.data, s.metadata) for s in host.sent] == [
        ("twilio-binding", "create", body, {"toNumber": "+1987654321"})
    ]
    said = '{"role":"user","content":"Hi","lang":"ü"}'
    assert [(line.level, line.message) for line in host.logged] == [
        ("info", "Activating actor for history-user1"),
        ("info", "State not found for history-user1, initializing"),
        ("info", f"Processing message for history-user1: {said}"),
        ("info", "Processed message for history-user1: Hi"),
        (
            "info",
            'Published event for history-user1: {"actor_id":"user1","history_key":"history-user1",'
            f'"actor_type":"ChatAgent","event_type":"ConversationUpdated","input":{said},'
            '"output":{"role":"assistant","content":"Got your message: Hi"}}',
        ),
        ("info", f'Sent SMS for history-user1: {{"toNumber":"+1987654321","body":"{body}"}}'),
    ]


def test_the_last_five_messages_are_kept_and_survive(daca_host):
    host = daca_host(ChatAgent, config={"to-number": ""})
    user = host.actor("u")
    for number in range(4):
        user.call("ProcessMessage", {"role": "user", "content": str(number)})
    user.deactivate()
    history = user.call("GetConversationHistory")
    assert [entry["content"] for entry in history] == [
        "Got your message: 1", "2", "Got your message: 2", "3", "Got your message: 3"
    ]
    assert host.sent == []
    assert any(line.message.startswith('State found for history-u: [{"role":') for line in host.logged)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "user", "content": ""}, "content"), ({"role": "user"}, "content"), ([], "content"), (None, "content"),
        ({"role": "user", "content": 5}, "content"), ({"content": "Hi"}, "role"), ({}, "content"),
    ],
)
def test_what_is_no_message_is_refused(daca_host, message, field):
    with pytest.raises(Invalid, match=f"^Invalid or missing '{field}' field$"):
        daca_host(ChatAgent).actor("u").call("ProcessMessage", message)


def test_a_long_message_is_refused(daca_host):
    with pytest.raises(Invalid, match="^The message has 200028 bytes; 131072 are the most$"):
        daca_host(ChatAgent).actor("u").call("ProcessMessage", {"role": "user", "content": "a" * 200_000})


def test_the_guide_shows_the_changed_lines_and_they_are_fewer_than_ten():
    guide = (REPOSITORY / "docs/guide/python.md").read_text(encoding="utf-8")
    diff = re.search(r"(?<=```diff\n) class ChatAgentInterface.*?\n```", guide, re.DOTALL)
    assert diff
    hunks = [hunk.splitlines() for hunk in diff.group().removesuffix("\n```").split("\n…\n")]
    rest = iter(CHAT_AGENT.read_text(encoding="utf-8").splitlines())
    # What stays and what is new is in the file, in this order.
    for line in (line for hunk in hunks for line in hunk if line[0] in " +"):
        assert line[1:] in rest, line
    # A line that takes the place of another one is one changed line.
    counts = [max(sum(line[0] == sign for line in hunk) for sign in "+-") for hunk in hunks]
    assert 0 < sum(counts) < 10
