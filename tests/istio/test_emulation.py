"""No field is skipped in silence: each is read somewhere, or named with the reason why not."""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

from sandbox.istio.emulation import KINDS_NOT_EMULATED, NOT_EMULATED, WITHOUT_EFFECT
from sandbox.istio.kinds import KINDS
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.message import Message

PACKAGE = Path(__file__).parents[2] / "sandbox"
READERS_HERE = ("mesh_settings.py", "load.py")


def names_in_the_source() -> set[str]:
    """Every attribute and text of the modules that could act on a field."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ("istio", "yaml_source") and path.name not in READERS_HERE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names


def messages_in(hint: object) -> Iterator[type[Message]]:
    """The message classes inside a type hint."""
    if isinstance(hint, type) and issubclass(hint, Message):
        yield hint
    for argument in typing.get_args(hint):
        yield from messages_in(argument)


def fields_of(message: type[Message], seen: set[str]) -> Iterator[str]:
    """All fields of a message and of the messages in it, except below those that are named anyway."""
    if message.__name__ + message.__module__ in seen:
        return
    seen.add(message.__name__ + message.__module__)
    hints = typing.get_type_hints(message, localns={}, include_extras=True)
    for field in dataclasses.fields(message):
        name = f"{message.__name__}.{field.name}"
        if field.name == "place" or name in NOT_EMULATED or name in WITHOUT_EFFECT:
            continue
        yield name
        for inner in messages_in(hints[field.name]):
            yield from fields_of(inner, seen)


def test_every_field_of_every_kind_is_read_or_named() -> None:
    read, seen = names_in_the_source(), set[str]()
    roots = [kind.spec for kind in KINDS.values() if kind.istio and kind.name not in KINDS_NOT_EMULATED]

    unread = [name for root in (*roots, MeshConfig) for name in fields_of(root, seen) if name.split(".")[1] not in read]

    assert unread == []


def test_the_names_in_the_tables_exist_and_have_a_reason() -> None:
    seen: set[str] = set()
    roots = [kind.spec for kind in KINDS.values() if kind.istio]
    known: set[str] = set()
    waiting: list[type[Message]] = [*roots, MeshConfig]
    while waiting:
        message = waiting.pop()
        if message.__name__ + message.__module__ in seen:
            continue
        seen.add(message.__name__ + message.__module__)
        hints = typing.get_type_hints(message, localns={}, include_extras=True)
        for field in dataclasses.fields(message):
            known.add(f"{message.__name__}.{field.name}")
            waiting += messages_in(hints[field.name])

    for name, reason in {**NOT_EMULATED, **WITHOUT_EFFECT}.items():
        assert name in known
        assert reason
    assert not NOT_EMULATED.keys() & WITHOUT_EFFECT.keys()
    assert KINDS_NOT_EMULATED.keys() <= {kind.name for kind in KINDS.values()}
