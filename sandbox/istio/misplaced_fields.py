"""Where a field belongs that was written under the wrong message: mostly an indentation too few or too many."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple, get_args, get_type_hints

from sandbox.istio.message import Message
from sandbox.yaml_source.place import camel_case

_FARTHEST: Final = 3
"""Steps up and down between the message written to and the one meant; beyond, it is a chance likeness of names."""
_INDEX: Final = re.compile(r"\[[0-9]+\]\Z")


class Root(NamedTuple):
    """The message in which a field path begins."""

    path: str
    message_type: type[Message]


class _Step(NamedTuple):
    """A message on the way to a field path."""

    path: str
    message_type: type[Message]


def rightful_place(root: Root, path: str, key: str) -> str:
    """The field path of the nearest other message that has the field ``key``, or the empty text.

    ``path`` is the path of the message that was written to. Of two that are equally near the one further out wins.
    """
    way = list(_way(root, path))
    for distance in range(1, _FARTHEST + 1):
        for up in range(min(distance, len(way) - 1), -1, -1):
            for step in _below(way[len(way) - 1 - up], distance - up):
                if step.path != path and key in _inner_messages(step.message_type):
                    return step.path
    return ""


def _way(root: Root, path: str) -> Iterator[_Step]:
    """The messages from the root to ``path``; it ends early where the path leads through a map."""
    step = _Step(root.path, root.message_type)
    yield step
    for name in path.removeprefix(root.path).strip(".").split("."):
        inner = _inner_messages(step.message_type).get(_INDEX.sub("", name))
        if inner is None:
            return
        step = _Step(f"{step.path}.{name}".strip("."), inner)
        yield step


def _below(step: _Step, depth: int) -> Iterator[_Step]:
    """The messages exactly ``depth`` steps below one."""
    if depth == 0:
        yield step
        return
    for name, inner in _inner_messages(step.message_type).items():
        if inner is not None:
            yield from _below(_Step(f"{step.path}.{name}".strip("."), inner), depth - 1)


def _inner_messages(message_type: type[Message]) -> Mapping[str, type[Message] | None]:
    """The message of each field by its JSON name, of a list's items too; None for other values."""
    return _read_inner_messages(message_type)  # type: ignore[arg-type]  # a class is hashable


@cache
def _read_inner_messages(message_type: type[Message]) -> Mapping[str, type[Message] | None]:
    hints = get_type_hints(message_type, localns={}, include_extras=True)
    return MappingProxyType(
        {
            camel_case(field.name.rstrip("_")): _message_in(hints[field.name])
            for field in fields(message_type)
            if field.name != "place"
        }
    )


def _message_in(hint: object) -> type[Message] | None:
    if isinstance(hint, type) and is_dataclass(hint) and issubclass(hint, Message):
        return hint
    return next((found for argument in get_args(hint) if (found := _message_in(argument)) is not None), None)
