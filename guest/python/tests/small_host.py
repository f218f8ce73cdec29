"""A host for one component in wasmtime: enough of the contract to see that a built component runs."""

from typing import Any


class SmallHost:
    def __init__(self, wasmtime: Any, component: bytes) -> None:
        from wasmtime import component as c

        self._wasmtime, self.variant, self.record = wasmtime, c.Variant, c.Record
        self._engine = wasmtime.Engine()
        self._component = c.Component(self._engine, component)
        self._linker = c.Linker(self._engine)
        self._linker.allow_shadowing = True
        self._linker.add_wasip2()
        self.state: dict[str, bytes] = {}
        self.log: list[tuple[str, str, str]] = []
        self._registered: dict[str, Any] = {}
        self._define()

    def _define(self) -> None:
        denied = lambda *_: self.variant("denied", "not here")  # noqa: E731
        nothing = lambda *_: None  # noqa: E731

        def put(_store: Any, key: str, value: Any, _ttl: Any) -> None:
            self.state[key] = bytes(value)

        def register(_store: Any, name: str, schedule: Any, data: Any) -> None:
            record = self.record()
            record.data, record.schedule = bytes(data), schedule
            self._registered[name] = record

        interfaces: dict[str, dict[str, Any]] = {
            "daca:agent/identity@0.1.0": {
                "agent-type": lambda _: "Counter", "actor-id": lambda _: "a", "turn-id": lambda _: "t"
            },
            "daca:agent/state@0.1.0": {
                "get": lambda _, key: self.state.get(key), "set": put, "delete": nothing,
                "get-many": lambda _, keys: [self.state.get(key) for key in keys],
            },
            "daca:agent/pubsub@0.1.0": {"publish": lambda *_: 0},
            "daca:agent/bindings@0.1.0": {"invoke": denied, "send": lambda *_: 0},
            "daca:agent/effects@0.1.0": {"log-outcome": nothing},
            "daca:agent/actors@0.1.0": {"invoke": denied},
            "daca:agent/reminders@0.1.0": {
                "register": register, "unregister": nothing, "get": lambda _, name: self._registered.get(name)
            },
            "daca:agent/timers@0.1.0": {"register": nothing, "unregister": nothing, "get": nothing},
            "daca:agent/secrets@0.1.0": {"get": denied},
            "wasi:config/store@0.2.0-rc.1": {"get": nothing, "get-all": lambda _: []},
            "wasi:logging/logging@0.1.0-draft": {"log": lambda _, *line: self.log.append(line)},
        }
        with self._linker.root() as root:
            for name, functions in interfaces.items():
                with root.add_instance(name) as instance:
                    for function, call in functions.items():
                        instance.add_func(function, call)

    def instance(self) -> Any:
        """A new instance, activated; calling it calls a method."""
        store = self._wasmtime.Store(self._engine)
        store.set_wasi(self._wasmtime.WasiConfig())
        made = self._linker.instantiate(store, self._component)

        def export(interface: str, name: str) -> Any:
            outer = made.get_export_index(store, f"daca:agent/{interface}@0.1.0")
            return made.get_func(store, made.get_export_index(store, name, outer))

        assert export("lifecycle", "activate")(store) is None
        return Instance(self, store, export)


class Instance:
    """An activated instance. Calling it calls a method."""

    def __init__(self, host: SmallHost, store: Any, export: Any) -> None:
        self._host, self._store, self._export = host, store, export

    def __call__(self, method: str, payload: str) -> Any:
        return self._export("actor", "invoke")(self._store, method, payload.encode())

    def effect_failed(self) -> None:
        """Tells the instance of an event that was given up."""
        record, variant = self._host.record, self._host.variant
        published, effect = record(), record()
        published.pubsub, published.topic, published.event = "pubsub", "counted", b"{}"
        effect.id, effect.attempts, effect.request = "e1", 3, variant("publish", published)
        call = self._export("on-effect-failed", "on-effect-failed")
        assert call(self._store, effect, variant("too-large", "the event")) is None
