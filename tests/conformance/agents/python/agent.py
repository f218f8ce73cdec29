"""The agent of the conformance cases in Python. What each method does is in ../README.md."""

import random
import time
from typing import Any, Callable

import daca
from daca import Failed, FailedEffect, Failure, HostError, Invalid, NotFound, method, state

CASES: dict[str, type[Failure]] = {"invalid": Invalid, "not-found": NotFound, "failed": Failed}


def answer(ask: Callable[[], Any]) -> Any:
    """The value, or what the host rejected: the turn ends well then."""
    try:
        return ask()
    except HostError as error:
        return {"error": error.code}


def seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def register(door: Any, wake: dict[str, Any]) -> Any:
    times = {"due": wake["due_ms"] / 1000, "period": seconds(wake.get("period_ms")), "ttl": seconds(wake.get("ttl_ms"))}
    return answer(lambda: door.register(wake["name"], wake.get("data"), **times))


def registration(door: Any, name: str) -> Any:
    def ask() -> Any:
        found = door.get(name)
        if found is None:
            return None
        times = {"due_ms": found.due, "period_ms": found.period, "ttl_ms": found.ttl}
        ms = {key: None if value is None else round(value * 1000) for key, value in times.items()}
        return {"name": name, "data": found.data, **ms}

    return answer(ask)


def record(kind: str, name: str, data: Any) -> None:
    """Records a firing. Data with `fails_without` fails as long as the state has no such key."""
    key = data.get("fails_without") if isinstance(data, dict) else None
    if key and state.get_bytes(key) is None:
        raise Failed(f"the {kind} {name} waits for the key {key}")
    append("fired", {"kind": kind, "name": name, "data": data})


def record_failed(effect: FailedEffect, reason: HostError) -> None:
    """Records an effect that was given up."""
    target = effect.topic if effect.kind == "publish" else f"{effect.binding}/{effect.operation}"
    failed = {"kind": effect.kind, "target": target, "data": effect.data.decode(), "attempts": effect.attempts}
    append("failed", {**failed, "reason": {"code": reason.code, "message": reason.message}})


def append(key: str, value: Any) -> None:
    state.set(key, [*state.get(key, []), value])


async def one() -> int:
    return 1


@daca.agent(schema="conformance-agents-schema-number-1", migrates=["migrated"])
class Conformance:
    def __init__(self) -> None:
        self._calls = 0
        self._held: list[bytearray] = []

    def activate(self) -> None:
        state.set("activations", state.get("activations", 0) + 1)

    def deactivate(self) -> None:
        state.set("deactivations", state.get("deactivations", 0) + 1)

    def on_reminder(self, name: str, data: Any) -> None:
        record("reminder", name, data)

    def on_timer(self, name: str, data: Any) -> None:
        record("timer", name, data)

    def on_effect_failed(self, effect: FailedEffect, reason: HostError) -> None:
        record_failed(effect, reason)

    def migrate(self, before: dict[str, Any], from_label: str) -> dict[str, Any]:
        return {"migrated": {"from": from_label, "value": before.get("migrated")}}

    # ---- State.

    @method("Set")
    def set(self, it):
        return answer(lambda: state.set(it["key"], it["value"], ttl=it.get("ttl")))

    @method("Get")
    def get(self, it):
        return answer(lambda: state.get(it["key"]))

    @method("GetMany")
    def get_many(self, it):
        return answer(lambda: state.get_many(it["keys"]))

    @method("Delete")
    def delete(self, it):
        return answer(lambda: state.delete(it["key"]))

    @method("ReadOwnWrites")
    def read_own_writes(self, it):
        def ask():
            state.set(it["key"], it["value"])
            first = state.get(it["key"])
            state.delete(it["key"])
            deleted = state.get(it["key"])
            state.set(it["key"], it["value"])
            return [first, deleted, state.get_many([it["key"]])[0]]

        return answer(ask)

    # ---- Payloads and replies.

    @method("Echo")
    def echo(self, payload):
        return payload

    @method("Optional")
    def optional(self, payload="none"):
        return payload

    @method("Nothing")
    def nothing(self):
        pass

    @method("Length")
    def length(self, it):
        return {"characters": len(it["text"]), "bytes": len(it["text"].encode())}

    @method("Repeat")
    def repeat(self, it):
        return it["text"] * 100

    @method("Sum")
    def sum(self, it):
        return str(int(it["a"]) + int(it["b"]))

    # ---- Turns that do not end well.

    @method("Fail")
    def fail(self, it):
        raise CASES[it["case"]](it.get("message", ""))

    @method("Throw")
    def throw(self, it):
        raise RuntimeError(it["message"])

    @method("Stage")
    def stage(self, it):
        state.set(it["key"], it["value"])
        daca.publish("daca-pubsub/conformance", it["value"])
        daca.bindings.send("outbox", "create", "staged")
        daca.reminders.register("staged", it["value"], due=0)
        daca.timers.register("staged", it["value"], due=0)
        if it["ending"] == "well":
            return "well"
        raise CASES.get(it["ending"], RuntimeError)("as it was told")

    @method("Hold")
    def hold(self, it):
        self._held.append(bytearray(b"x") * (it["mebibytes"] << 20))
        return len(self._held)

    @method("Spin")
    def spin(self):
        while True:
            pass

    @method("Awaits")
    async def awaits(self, it):
        waited = 0
        for _ in range(it["count"]):
            waited += await one()
        return waited

    # ---- Effects, and what acts at once.

    @method("Publish")
    def publish(self, it):
        def ask():
            effect = daca.publish(it["topic"], it["event"])
            if "delivered" in it:
                effect.log_outcome(it["delivered"], "undeliverable")

        return answer(ask)

    @method("Send")
    def send(self, it):
        def ask():
            daca.bindings.send(it["binding"], it["operation"], it.get("data", ""), it.get("metadata"))

        return answer(ask)

    @method("InvokeBinding")
    def invoke_binding(self, it):
        def ask():
            return daca.bindings.invoke(it["binding"], it["operation"], it.get("data", ""), it.get("metadata")).text()

        return answer(ask)

    @method("CallActor")
    def call_actor(self, it):
        return answer(lambda: daca.actors.invoke(it["type"], it["id"], it["method"], it.get("payload")))

    @method("FailedEffects")
    def failed_effects(self):
        return state.get("failed", [])

    # ---- Reminders and timers.

    @method("RegisterReminder")
    def register_reminder(self, it):
        return register(daca.reminders, it)

    @method("GetReminder")
    def get_reminder(self, it):
        return registration(daca.reminders, it["name"])

    @method("UnregisterReminder")
    def unregister_reminder(self, it):
        return answer(lambda: daca.reminders.unregister(it["name"]))

    @method("RegisterTimer")
    def register_timer(self, it):
        return register(daca.timers, it)

    @method("GetTimer")
    def get_timer(self, it):
        return registration(daca.timers, it["name"])

    @method("UnregisterTimer")
    def unregister_timer(self, it):
        return answer(lambda: daca.timers.unregister(it["name"]))

    @method("Fired")
    def fired(self):
        return state.get("fired", [])

    # ---- What the host tells and is told.

    @method("Activations")
    def activations(self):
        return {"activations": state.get("activations", 0), "deactivations": state.get("deactivations", 0)}

    @method("Calls")
    def calls(self):
        self._calls += 1
        return self._calls

    @method("WhoAmI")
    def who_am_i(self):
        return {"agent_type": daca.agent_type(), "actor_id": daca.actor_id(), "turn_id": daca.turn_id()}

    @method("Setting")
    def setting(self, it):
        return answer(lambda: daca.config.get(it["key"]))

    @method("Secret")
    def secret(self, it):
        return answer(lambda: daca.secrets.get(it["name"]))

    @method("Log")
    def log(self, it):
        getattr(daca.log, it["level"])(it["message"])

    @method("Random")
    def random(self):
        return str(random.random())

    @method("Clock")
    def clock(self):
        return time.time_ns() // 1_000_000
