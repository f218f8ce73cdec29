"""The host in memory: turns, hooks, the clock, and what a test says that the rest of the world answers."""

from datetime import timedelta

import pytest
from agents import Counter, Item

from daca import Failed, Failure, HostError, Invalid, NotFound, actors, agent, method, reminders, state, timers
from daca.activation import Activation
from daca.agents import definition
from daca.component import Component
from daca.testing import FailedEffect, TestHost


@agent
class Alarm:
    """Its wake-ups fail until the state has the key `ready`."""

    @method("Remind")
    def remind(self, registration):
        reminders.register(**registration)

    @method("Time")
    def time(self, registration):
        timers.register(**registration)

    def on_reminder(self, name, data):
        self._fire(name)

    def on_timer(self, name, data):
        self._fire(name)

    def _fire(self, name):
        if not state.get("ready"):
            raise Failed(f"{name} is not ready")
        state.set("fired", [*state.get("fired", []), name])


def test_a_turn_commits_as_a_whole(daca_host):
    host = daca_host(Counter)
    a = host.actor("a")
    assert [a.call("Add"), a.call("Add", 4)] == [1, 5]
    assert a.state == {"count": 5}
    assert [(e.actor, e.topic, e.data) for e in host.events][-1] == ("a", "pubsub/counted", {"id": "a", "count": 5})
    assert [line.message for line in host.logged] == ["activated a", "told", "told"]
    assert host.actor("b").call("Add") == 1


def test_a_failed_turn_leaves_nothing_but_its_log(daca_host):
    host = daca_host(Counter)
    a = host.actor("a")
    a.call("Add", 99)
    with pytest.raises(Invalid, match="too many"):
        a.call("Add", 99)
    assert a.state == {"count": 99}
    assert len(host.events) == 1
    assert {line.level for line in host.logged} == {"info"}
    # The instance is gone, too.
    assert a.call("ActivationCount") == 11
    assert a.call("ActivationCount") == 21


def test_an_exception_is_a_fault_with_the_authors_frames(daca_host):
    a = daca_host(Counter).actor("a")
    with pytest.raises(Failed) as raised:
        a.call("Broken")
    text = str(raised.value)
    assert text.startswith("KeyError: 'x'\n")
    assert "agents.py" in text and "in broken" in text
    assert "activation.py" not in text and "testing.py" not in text
    assert a.state == {}


def test_the_log_has_what_caused_a_failure_and_the_caller_has_not(daca_host):
    host = daca_host(Counter)
    with pytest.raises(Failed, match="^denied$"):
        host.actor("a").call("Denied")
    line = host.logged[-1]
    assert line.level == "error"
    assert line.message.startswith("Failed: denied\n")
    assert "\ncaused by HostError: denied: the binding other is not given" in line.message
    assert line.message.count("agents.py") == 2 and "activation.py" not in line.message


def test_only_marked_methods_are_called(daca_host):
    a = daca_host(Counter).actor("a")
    for name in ["helper", "Helper", "add", "_count", "activate", "on_reminder", "__init__", ""]:
        with pytest.raises(NotFound, match="has no method"):
            a.call(name)


def test_reminders_and_timers_fire_by_the_clock(daca_host):
    host = daca_host(Counter)
    a = host.actor("a")
    assert a.call("Remind") == {"due": 1, "period": 5, "ttl": None, "data": {"n": 1}}
    assert (a.reminders, a.timers) == (["daily"], ["soon"])
    start = host.now.timestamp()
    host.advance(0.5)
    assert a.state == {"fired-soon": start + 0.5}
    host.advance(6)
    assert a.state["fired-daily"] == 2
    a.call("Remind")
    a.deactivate()
    assert (a.reminders, a.timers) == (["daily"], [])
    assert host.logged[-1].message == "gone"


def test_a_reminder_whose_turn_fails_fires_again(daca_host):
    host = daca_host(Alarm)
    a = host.actor("a")
    a.call("Remind", {"name": "once", "due": 1})
    start = host.now
    with pytest.raises(Failed, match="^once is not ready$"):
        host.advance(10)
    # The clock has moved to the end nevertheless.
    assert (host.now, a.reminders, a.state) == (start + timedelta(seconds=10), ["once"], {})
    a.set_state("ready", True)
    host.advance(60)
    assert (a.reminders, a.state["fired"]) == ([], ["once"])


def test_a_reminder_with_a_period_is_retried_a_few_times_and_then_waits_for_its_next_time(daca_host):
    host = daca_host(Alarm)
    a = host.actor("a")
    a.call("Remind", {"name": "often", "due": 0, "period": 600})
    before = host.turns
    with pytest.raises(Failed):
        host.advance(599)
    assert host.turns == before + 8
    a.set_state("ready", True)
    host.advance(1)
    assert (a.reminders, a.state["fired"]) == (["often"], ["often"])


def test_a_timer_whose_turn_fails_is_not_retried(daca_host):
    host = daca_host(Alarm)
    a = host.actor("a")
    a.call("Time", {"name": "once", "due": 1})
    a.call("Time", {"name": "often", "due": 1, "period": 5})
    with pytest.raises(Failed, match="^once is not ready$"):
        host.advance(5)
    assert a.timers == ["often"]
    a.set_state("ready", True)
    host.advance(1)
    assert a.state["fired"] == ["often"]


def test_a_reminder_fires_until_its_end_and_at_it(daca_host):
    host = daca_host(Alarm)
    a = host.actor("a")
    a.set_state("ready", True)
    a.call("Remind", {"name": "r", "due": 1, "period": 1, "ttl": 3})
    host.advance(60)
    assert (a.reminders, a.state["fired"]) == ([], ["r", "r", "r"])


@pytest.mark.parametrize("call", ["Remind", "Time"])
@pytest.mark.parametrize(
    "wrong",
    [{"due": 2, "ttl": 1}, {"name": ""}, {"name": "a||b"}, {"name": "a\n"}, {"name": "daca:r"}, {"period": 0}],
)
def test_what_the_host_does_not_register_is_invalid(daca_host, call, wrong):
    a = daca_host(Alarm).actor("a")
    with pytest.raises(Failed, match="^HostError: invalid: "):
        a.call(call, {"name": "r", **wrong})
    a.call(call, {"name": "r", "due": 1, "ttl": 1})


def test_values_expire_by_the_clock(daca_host):
    host = daca_host(Counter)
    a = host.actor("a")
    a.call("Keep", 5)
    host.advance(4.9)
    assert a.state == {"kept": 1}
    host.advance(0.1)
    assert a.state == {}
    with pytest.raises(Failed, match="time to live of 0"):
        a.call("Keep", 0)


def test_the_world_answers_as_the_test_says_and_the_rest_is_denied(daca_host):
    host = daca_host(
        Counter,
        bindings={"weather": lambda operation, data, metadata: {"celsius": len(data)}},
        actors={"Stock": lambda actor, method, payload: f"{actor}/{method}"},
        config={"from": "+1"},
        secrets={"token": "s"},
    )
    a = host.actor("a")
    assert a.call("Temperature", "Oslo") == 4
    assert a.call("Stock", "nail") == "nail/Count"
    assert a.call("Text", 7) == ["+1", "s"]
    assert [(sent.data, sent.metadata) for sent in host.sent] == [("hello", {"to": "7"})]
    with pytest.raises(Failed, match="^denied$"):
        a.call("Denied")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Invalid("no such size"), ["invalid", "no such size"]),
        (NotFound("no such item"), ["not-found", "no such item"]),
        (Failed("the shelf is away"), ["other", "the shelf is away"]),
    ],
)
def test_the_failure_of_another_actor_is_what_the_host_makes_of_it(daca_host, failure, told):
    @agent
    class Asker:
        @method("Ask")
        def ask(self):
            try:
                return actors.invoke("Stock", "nail", "Count")
            except HostError as e:
                return [e.code, e.message]

    def fails(*_):
        raise failure

    assert daca_host(Asker, actors={"Stock": fails}).actor("a").call("Ask") == told


def test_the_agent_hears_of_an_effect_that_failed(daca_host):
    a = daca_host(Counter).actor("a")
    a.effect_failed(FailedEffect("e1", 3, "publish", b"{}", "pubsub/counted"), "unavailable", "away")
    assert a.state == {"failed": ["e1", "unavailable"]}


def test_the_host_is_called_in_turns_only():
    with pytest.raises(RuntimeError, match="within a turn only"):
        state.get("x")


def test_an_agent_without_the_hook_cannot_register():
    @agent
    class Sleeper:
        @method("Sleep")
        def sleep(self):
            reminders.register("r", due=1)

    with pytest.raises(Failed, match="no on_reminder"):
        TestHost(Sleeper).actor("a").call("Sleep")


def test_state_of_another_schema_is_migrated():
    @agent(schema="2", migrates=["old", "other"])
    class Moved:
        def migrate(self, before, from_label):
            return {"new": [from_label, before["old"]]}

        @method("Get")
        def get(self):
            return state.get("new")

    a = TestHost(Moved).actor("a")
    a.set_state("old", 1)
    a.set_state("untouched", 2)
    a.migrate("1")
    assert a.state == {"new": ["1", 1], "untouched": 2}
    assert a.call("Get") == ["1", 1]


def test_a_migration_that_cannot_name_its_keys_fails_its_turn_with_the_reason():
    def named(from_label):
        if from_label == "0":
            raise Failed("no keys of 0")
        return {"1": ["old"], "2": [5], "3": "old", "4": None, "5": ["\ud800"]}[from_label]

    @agent(schema="9", migrates=named)
    class Moved:
        def migrate(self, before, from_label):
            return {"new": before["old"]}

        @method("Get")
        def get(self):
            return state.get("new")

    a = TestHost(Moved).actor("a")
    a.set_state("old", 1)
    for label, reason in [
        ("0", "^no keys of 0$"), ("2", "must be a string, and is of type int"), ("3", "must return a list of keys"),
        ("4", "must return a list of keys"), ("5", "surrogates not allowed"), ("6", "KeyError"),
    ]:
        with pytest.raises(Failed, match=reason):
            a.migrate(label)
        assert a.state == {"old": 1}
    a.migrate("1")
    assert a.call("Get") == 1


def test_the_keys_of_a_component_never_trap():
    def named(from_label):
        if from_label == "0":
            raise ValueError("no keys of 0")
        return ["old"]

    @agent(schema="9", migrates=named)
    class Moved:
        def migrate(self, before, from_label):
            return before

        @method("Get")
        def get(self): ...

    # Without the constructor, which makes this process that of a component.
    component = object.__new__(Component)
    component._activation, component._is_fresh = Activation(definition(Moved)), False
    assert component.keys("1") == ["old"]
    (text,) = component.keys("0")
    assert text.startswith("daca:failed\nValueError: no keys of 0\n") and "test_testing.py" in text


def test_the_keys_of_a_migration_may_come_from_an_iterator():
    @agent(schema="2", migrates=iter(["old"]))
    class Moved:
        def migrate(self, before, from_label):
            return {"new": before["old"]}

        @method("Get")
        def get(self): ...

    host = TestHost(Moved)
    for name in ["a", "b"]:
        host.actor(name).set_state("old", 1)
        host.actor(name).migrate("1")
        assert host.actor(name).state == {"new": 1}


def test_a_class_that_cannot_be_an_agent_is_refused_at_once():
    def refused(pattern, **options):
        def check(cls):
            with pytest.raises(TypeError, match=pattern):
                agent(**options)(cls)

        return check

    @refused("belong together")
    class A:
        @method
        def m(self): ...
        def migrate(self, before, from_label): ...

    @refused("no method for callers")
    class B:
        def m(self): ...

    @refused("takes a and b; a method takes one payload")
    class C:
        @method
        def m(self, a, b): ...

    @refused("two methods with the name M")
    class D:
        @method("M")
        def m(self): ...
        @method("M")
        def n(self): ...

    @refused("the parameter item: .*is no type of a JSON value")
    class E:
        @method
        def m(self, item: set[int]): ...

    for wrong, pattern in [
        ({"schema": 2}, "the schema must be a string, and is of type int"),
        ({"schema": "x" * 65}, "the schema must have 1 to 64 bytes"),
        ({"schema": "2", "migrates": "old"}, "migrates must be a list of keys"),
        ({"schema": "2", "migrates": None}, "migrates must be a list of keys"),
    ]:

        @refused(pattern, **wrong)
        class F:
            @method
            def m(self): ...
            def migrate(self, before, from_label): ...


def test_failures_and_host_errors_are_told_apart():
    assert issubclass(Invalid, Failure) and not issubclass(HostError, Failure)
    assert str(HostError("too-large", "the value")) == "too large: the value"
    assert Item(name="x").parts == []
