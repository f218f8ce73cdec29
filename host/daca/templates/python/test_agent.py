"""Tests of the agent, with a host in memory: .venv/bin/pytest"""

from datetime import timedelta

import pytest
from agent import AgentName

from daca import Invalid

DAY = timedelta(days=1)
A_MOMENT = timedelta(milliseconds=1)


def test_a_message_is_answered_kept_and_published(daca_host):
    host = daca_host(AgentName)
    user = host.actor("user1")
    answer = user.call("Say", {"content": "Hi"})
    assert answer == {"role": "assistant", "content": "Got your message: Hi"}
    assert user.call("History") == [{"role": "user", "content": "Hi"}, answer]
    assert [event.topic for event in host.events] == ["pubsub/chat"]


@pytest.mark.parametrize("message", [{"content": ""}, {"content": 1}, {}])
def test_a_message_without_content_is_refused_and_leaves_nothing(daca_host, message):
    host = daca_host(AgentName)
    with pytest.raises(Invalid):
        host.actor("user1").call("Say", message)
    assert (host.events, host.actor("user1").state) == ([], {})


def test_a_conversation_is_forgotten_a_day_after_the_last_message(daca_host):
    host = daca_host(AgentName)
    user = host.actor("user1")
    user.call("Say", {"content": "Hi"})
    host.advance(DAY - A_MOMENT)
    user.call("Say", {"content": "Still here"})
    host.advance(DAY - A_MOMENT)
    assert len(user.call("History")) == 4
    host.advance(A_MOMENT)
    assert user.call("History") == []
