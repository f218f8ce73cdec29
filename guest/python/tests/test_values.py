"""Payloads and replies: JSON as types, and what is refused."""

import asyncio

import pytest
from agents import ENTRY_POINTS, Counter

from daca import Failed, Invalid, json


@pytest.fixture
def a(daca_host):
    return daca_host(Counter).actor("a")


def test_dataclasses_and_typed_dictionaries_are_made_of_json(a):
    part = {"name": "p", "size": "small", "price": 0.0, "parts": []}
    item = {"name": "n", "size": "large", "price": 2.0, "parts": [part]}
    assert a.call("Order", item) == item
    assert a.call("Order", {"name": "n", "more": 1})["size"] == "small"
    assert a.call("Note", {"text": "t", "more": [1]}) == {"text": "t", "more": [1]}
    assert a.call("Pick", "up") == "up"
    assert a.call("Pick", None) == "None"
    assert a.call("Raw", b"1234") == 4321


@pytest.mark.parametrize(
    ("method", "payload", "text"),
    [
        ("Order", {}, "item.name is missing"),
        ("Order", [], "item must be an object, and is a list"),
        ("Order", None, "item must be an object, and is null"),
        ("Order", {"name": 1}, "item.name must be a string, and is a number"),
        ("Order", {"name": "n", "price": True}, "item.price must be a number, and is a boolean"),
        ("Order", {"name": "n", "size": "huge"}, "item.size must be one of 'small', 'large'"),
        ("Order", {"name": "n", "parts": [{"name": "p"}, {}]}, r"item.parts\[1\].name is missing"),
        ("Note", {"text": "t", "tags": ["a", 1]}, r"note.tags\[1\] must be a string"),
        ("Pick", "left", "way must be one of 'up', 'down'"),
        ("Add", "1", "by must be a whole number, and is a string"),
        ("Add", 1.5, "by must be a whole number, and is a number"),
    ],
)
def test_a_payload_of_another_type_is_the_callers_fault(a, method, payload, text):
    with pytest.raises(Invalid, match=f"^{text}"):
        a.call(method, payload)


@pytest.mark.parametrize(
    "payload", [b"{", b"\xff", b"NaN", b"1e999", b"[" * 100_000, b'"\\ud800"', b"1 2", b"9" * 5000]
)
def test_what_is_no_json_is_the_callers_fault(a, payload):
    with pytest.raises(Invalid, match="^the payload is not JSON: "):
        a.call("Show", payload)


def test_a_call_without_a_payload_passes_no_argument(a):
    assert a.call("Add") == 1
    assert a.call("Add", None) == 2
    with pytest.raises(Invalid, match="takes a payload"):
        a.call("Show")


def test_what_came_as_json_is_shown_as_json(a):
    assert a.call("Show", {"ü": [1, {"b": None}], "c": True}) == '{"ü":[1,{"b":null}],"c":true}'
    assert a.call("Show", [[1]]) == "[[1]]"


def test_numbers_keep_every_digit():
    text = '{"order":123456789012345678901234567890,"half":0.5}'
    assert json.dumps(json.loads(text)) == text
    with pytest.raises(ValueError):
        json.dumps(float("nan"))


def nested(depth, inner):
    value = inner
    for _ in range(depth):
        value = [{"a": value}]
    return value


@pytest.mark.parametrize("depth", [128, 500, 9_998, 100_000])
def test_what_could_not_be_read_again_is_not_written(depth):
    deep = nested(depth // 2, None)
    for write in [json.dumps, json.to_bytes]:
        with pytest.raises(ValueError, match="^a list cannot be written as JSON: .* more than 127 levels deep"):
            write(deep)
    with pytest.raises(ValueError, match="more than 127 levels deep"):
        json.loads("[" * depth + "]" * depth)


def test_the_deepest_value_is_written_and_read():
    # Brackets in texts are no levels, and neither are those that have ended.
    deepest = [nested(62, ["[" * 200, '\\"[{' * 100, "\\", {}] + [[]] * 200)]
    assert json.loads(json.dumps(deepest)) == deepest
    with pytest.raises(ValueError):
        json.dumps([deepest])


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("name", ENTRY_POINTS[:-1])
def test_what_needs_an_event_loop_says_what_to_do_instead(a, name):
    with pytest.raises(Failed, match="an agent has no event loop: call the host without asyncio, await one") as raised:
        a.call("AsksAsyncio", name)
    assert str(raised.value).count("an agent has no event loop") == 1
    # A test itself may have one.
    asyncio.new_event_loop().close()


def test_coroutines_are_driven_to_their_end(a):
    assert a.call("Add", 2) == 2
    with pytest.raises(Failed, match="awaits Never, which nothing settles.*") as raised:
        a.call("Waits")
    assert "in waits" in str(raised.value)
    with pytest.raises(Failed, match="an agent has no event loop: call the host without asyncio"):
        a.call("Sleeps")
