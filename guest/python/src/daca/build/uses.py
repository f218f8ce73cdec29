"""Which interfaces of the host a module uses, by the names of the SDK that its source has.

A component that imported more would ask for permissions that the agent does not use.
"""

import ast

#: The interfaces behind the names of `daca` and `daca.dapr`.
NAMES = {
    "state": {"state"}, "publish": {"pubsub"}, "bindings": {"bindings"}, "actors": {"actors"},
    "reminders": {"reminders"}, "timers": {"timers"}, "secrets": {"secrets"}, "config": {"config"},
    "actor_id": {"identity"}, "agent_type": {"identity"}, "turn_id": {"identity"}, "Actor": {"identity", "state"},
}
#: The interfaces behind methods of the SDK's objects, which may come to a module as arguments.
METHODS = {"log_outcome": {"effects"}, "publish_event": {"pubsub"}, "invoke_binding": {"bindings"}}


def interfaces(source: str, file: str) -> set[str]:
    """The interfaces that a module uses. Raises `SyntaxError`."""
    tree = ast.parse(source, file)
    known: set[str] = set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "daca":
                    known.add(alias.asname or "daca")
                    names.update(alias.name.split(".")[1:])
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == "daca":
            if any(alias.name == "*" for alias in node.names):
                said = "write the names of daca out: the component imports only what is used"
                raise SyntaxError(said, (file, node.lineno, 1, None))
            names.update((node.module or "").split(".")[1:])
            for alias in node.names:
                names.add(alias.name)
                if alias.name == "dapr":
                    known.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.update([node.attr] if node.attr in METHODS else [])
            names.update(_chain(node, known))
    table = {**NAMES, **METHODS}
    return set().union(*(table[name] for name in names if name in table))


def _chain(node: ast.Attribute, known: set[str]) -> list[str]:
    """The names of `daca.dapr.Actor`, if `daca` is one of the known names."""
    names = [node.attr]
    inner: ast.expr = node.value
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    return names if isinstance(inner, ast.Name) and inner.id in known else []
