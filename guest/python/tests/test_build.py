"""What `daca-py build` makes and refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from agents import ENTRY_POINTS

from daca.build.command import main
from daca.build.component import BuildError, build_component, describe
from daca.build.memory import first_memory
from daca.build.uses import interfaces
from daca.build.world import world_of

AGENT = """\
from daca import agent, method, state
@agent
class A:
    @method("Get")
    def get(self):
        return state.get("x")
"""


@pytest.fixture
def refused(tmp_path):
    def check(source: str, pattern: str, name: str = "my_agent.py") -> None:
        entry = tmp_path / name
        entry.write_text(source)
        with pytest.raises(BuildError, match=pattern):
            describe(entry)

    return check


def test_errors_name_file_and_line(refused, tmp_path):
    refused("from daca import agent\nclass A:\n    def m(self: return 1\n", r"my_agent\.py:3:\d+: ")
    refused("import nowhere_to_be_found\n", r"my_agent\.py:1: ModuleNotFoundError: .*nowhere")
    refused(AGENT + "\n\nraise ValueError('at the top')\n", r"my_agent\.py:9: ValueError: at the top")
    refused(AGENT + "state.get('x')\n", r"my_agent\.py:7: RuntimeError: the host can be called within a turn only")
    refused(AGENT.replace("(self)", "(self, a, b)"), r"my_agent\.py:2: TypeError: A.get takes a and b")
    refused("x = 1\n", r"my_agent\.py has no agent: write @agent above a class")
    refused(AGENT + AGENT.replace("A:", "B:"), r"my_agent\.py has 2 agents, A and B")
    refused("from daca import *\n" + AGENT, r"my_agent\.py:1:\d+: write the names of daca out")
    refused(AGENT, "has the name of another module, json", "json.py")
    refused(AGENT, "is no Python module", "my-agent.py")
    refused("import os\nos._exit(3)\n", "ends Python while it is loaded, with status 3")
    (tmp_path / "part.py").write_text("def f(:\n")
    refused("import part\n" + AGENT, r"part\.py:1:\d+: ")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from daca import state, publish", {"state", "pubsub"}),
        ("import daca\ndaca.secrets.get('x')\ndaca.state", {"secrets", "state"}),
        ("import daca.timers as t\nt.register('x')", {"timers"}),
        ("from daca.reminders import register", {"reminders"}),
        ("def f():\n  from daca import bindings as b\n  b.send('a', 'b').log_outcome('', '')", {"bindings", "effects"}),
        ("from daca.dapr import Actor, DaprClient as C\nC().publish_event('a', 'b')", {"identity", "state", "pubsub"}),
        ("from daca import dapr as d\nclass A(d.Actor): ...", {"identity", "state"}),
        ("state = 1\nclass X:\n    actors = 2\nX.actors", set()),
        ("from other import state", set()),
    ],
)
def test_interfaces_are_found_by_the_names_of_the_source(source, found):
    assert interfaces(source, "x.py") == found


def test_the_world_has_what_is_used_and_nothing_else(tmp_path):
    (tmp_path / "helper.py").write_text("from daca import config\n")
    entry = tmp_path / "my_agent.py"
    entry.write_text("import helper\n" + AGENT + "    def on_timer(self, name, data): ...\n")
    told = describe(entry)
    assert told["files"] == ["helper.py", "my_agent.py"]
    world = world_of(told["interfaces"], told["hooks"])
    assert [line.strip() for line in world.splitlines()[3:-1]] == [
        "import wasi:config/store@0.2.0-rc.1;",
        "import wasi:logging/logging@0.1.0-draft;",
        "import daca:agent/state@0.1.0;",
        "export daca:agent/actor@0.1.0;",
        "export daca:agent/on-timer@0.1.0;",
    ]


def test_a_class_that_cannot_be_made_is_refused_unless_it_asks_the_host(refused, tmp_path):
    made = AGENT + "    def __init__(self):\n        "
    refused(made + "raise ValueError('never')\n", r"my_agent\.py:8: the class cannot be made: ValueError: never$")
    refused(AGENT + "    def __init__(self, a): ...\n", "the class cannot be made: TypeError: .*missing 1")
    entry = tmp_path / "my_agent.py"
    for body in ["state.get('x')", "from daca import log; log.info('made'); self.x = 1"]:
        entry.write_text(made + body + "\n")
        assert describe(entry)["class"] == "A"


def test_the_command_says_how_it_is_used_and_what_went_wrong(tmp_path, capsys):
    run = lambda *words: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "daca.build.command", *words], capture_output=True, text=True
    )
    assert "daca-py build" in run("build", "--help").stdout
    for words in ([], ["build"], ["pack", "x"], ["build", "--wrong"]):
        done = run(*words)
        assert done.returncode == 2 and "usage: daca-py" in done.stderr
    assert main(["build", str(tmp_path / "none.py")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.slow
def test_a_component_runs(tmp_path):
    component = build_component(Path(__file__).parent / "agents.py")
    assert component[:4] == b"\0asm"
    for name in (b"daca:agent/secrets@0.1.0", b"daca:agent/on-reminder@0.1.0", b"daca:agent/lifecycle@0.1.0"):
        assert name in component
    assert b"daca:agent/migration@0.1.0" not in component
    run_in_wasmtime(component)


@pytest.mark.slow
def test_a_small_agent_imports_little_and_fits_the_default_memory(tmp_path):
    entry = tmp_path / "my_agent.py"
    entry.write_text(AGENT)
    component = build_component(entry)
    for unused in (b"daca:agent/pubsub", b"daca:agent/secrets", b"wasi:config", b"daca:agent/lifecycle"):
        assert unused not in component
    assert first_memory(component) < 14 * 1024 * 1024


@pytest.mark.slow
def test_what_a_component_does_not_have_is_named_with_the_line(tmp_path):
    entry = tmp_path / "my_agent.py"
    entry.write_text("import os\n" + AGENT + "import ctypes\n")
    with pytest.raises(BuildError, match=r"my_agent\.py:8: (ModuleNotFound|Import)Error: .*ctypes.*A component has"):
        build_component(entry)


def run_in_wasmtime(component: bytes) -> None:
    """Calls the component as the host does."""
    wasmtime = pytest.importorskip("wasmtime")
    from small_host import SmallHost

    host = SmallHost(wasmtime, component)
    first, second = host.instance(), host.instance()
    assert first("Add", "2") == b"2"
    assert second("Add", "") == b"3"
    assert first("Draw", "") != second("Draw", "")
    failed = first("Broken", "")
    assert failed.tag == "failed"
    assert failed.payload.startswith("KeyError: 'x'\n  File \"agents.py\", line ")
    assert failed.payload.endswith('\n    return values["x"]')
    assert first("Order", '{"name":1}').payload == "item.name must be a string, and is a number"
    assert first("Nothing", "").tag == "not-found"
    assert "an agent has no event loop" in first("Sleeps", "").payload
    for name in ENTRY_POINTS:
        told = first("AsksAsyncio", f'"{name}"').payload
        assert "an agent has no event loop: call the host without asyncio, await one" in told, (name, told)
    assert first("Denied", "").payload == "denied"
    level, _, told = host.log[-1]
    assert level == "error" and "\ncaused by HostError: denied: not here\n" in told
    assert first("Remind", "").startswith(b'{"due":1.0')
    first.effect_failed()
    assert host.state["failed"] == b'["e1","too-large"]'
    assert host.log[:2] == [("info", "counter", "activated a"), ("info", "counter", "activated a")]
