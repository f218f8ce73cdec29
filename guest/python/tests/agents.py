"""Agents for the tests."""

import asyncio
import enum
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from daca import (
    Failed, HostError, Invalid, actor_id, actors, agent, bindings, config, log, method, publish, reminders, secrets,
    state, timers,
)

#: What `asks_asyncio` takes. The last one fails in a component alone, which has no sockets.
ENTRY_POINTS = [
    "gather", "run", "runner", "new_event_loop", "get_event_loop", "create_task", "to_thread", "wait_for",
    "timeout", "task_group", "queue", "lock", "open_connection", "selector_loop",
]


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Item:
    name: str
    size: Size = Size.SMALL
    price: float = 0
    parts: list["Item"] = field(default_factory=list)


class Note(TypedDict):
    text: str
    tags: NotRequired[list[str]]


@agent
class Counter:
    activations = 0

    def activate(self) -> None:
        self.activations += 1
        logging.getLogger("counter").info("activated %s", actor_id())

    def deactivate(self) -> None:
        log.info("gone")

    @method("Add")
    async def add(self, by: int = 1) -> int:
        count = await self._count() + by
        state.set("count", count)
        publish("pubsub/counted", {"id": actor_id(), "count": count}).log_outcome("told", "not told")
        if count > 100:
            raise Invalid("too many")
        return count

    async def _count(self) -> int:
        await asyncio.sleep(0)
        return state.get("count", 0)

    @method
    def activation_count(self) -> int:
        self.activations += 10
        return self.activations

    @method
    def remind(self) -> Any:
        reminders.register("daily", {"n": 1}, due=1, period=5)
        timers.register("soon", due=0.5)
        return reminders.get("daily")

    def on_reminder(self, name: str, data: Any) -> None:
        state.set(f"fired-{name}", state.get(f"fired-{name}", 0) + data["n"])

    def on_timer(self, name: str, data: Any) -> None:
        state.set(f"fired-{name}", time.time())

    @method
    def broken(self) -> Any:
        state.set("count", -1)
        print("still there")
        values: dict[str, int] = {}
        return values["x"]

    @method
    def temperature(self, city: str) -> float:
        return bindings.invoke("weather", "get", city).json()["celsius"]

    @method
    def text(self, number: int) -> list[str | None]:
        bindings.send("sms", "create", "hello", {"to": number})
        return [config.get("from", "nobody"), secrets.get("token")["token"]]

    @method
    def stock(self, item: str) -> Any:
        return actors.invoke("Stock", item, "Count")

    @method
    def denied(self) -> None:
        try:
            bindings.invoke("other", "get")
        except HostError as e:
            raise Failed(e.code) from e

    @method
    def keep(self, ttl: int) -> None:
        state.set("kept", b"1", ttl=ttl)

    @method
    def order(self, item: Item) -> Item:
        state.set("item", item)
        again = state.get("item", into=Item)
        assert again == item
        return again

    @method
    def note(self, note: Note) -> Note:
        return note

    @method
    def pick(self, way: Literal["up", "down"] | None) -> str:
        return f"{way}"

    @method
    def raw(self, payload: bytes) -> bytes:
        return payload[::-1]

    @method
    async def waits(self) -> None:
        class Never:
            def __await__(self):  # type: ignore[no-untyped-def]
                yield self

        await Never()

    @method
    async def sleeps(self) -> None:
        await asyncio.sleep(1)

    @method
    async def asks_asyncio(self, name: str) -> Any:
        """Uses one of the entry points of asyncio that need a loop."""
        later = (self._count() for _ in range(2))
        match name:
            case "gather": await asyncio.gather(*later)
            case "run": asyncio.run(next(later))
            case "runner": asyncio.Runner().run(next(later))
            case "new_event_loop": asyncio.new_event_loop()
            case "get_event_loop": asyncio.get_event_loop().run_until_complete(next(later))
            case "create_task": await asyncio.create_task(next(later))
            case "to_thread": await asyncio.to_thread(str)
            case "wait_for": await asyncio.wait_for(next(later), 1)
            case "timeout":
                async with asyncio.timeout(1):
                    pass
            case "task_group":
                async with asyncio.TaskGroup():
                    pass
            case "queue": await asyncio.Queue().get()
            case "lock":
                lock = asyncio.Lock()
                await lock.acquire()
                await lock.acquire()
            case "open_connection": await asyncio.open_connection("localhost", 1)
            case "selector_loop": asyncio.SelectorEventLoop()

    @method
    def draw(self) -> float:
        return random.random()

    @method
    def show(self, value: Any) -> str:
        return f"{value}"

    def helper(self) -> None:
        """Not marked: no caller reaches it."""

    def on_effect_failed(self, effect: Any, reason: HostError) -> None:
        state.set("failed", [effect.id, reason.code])
