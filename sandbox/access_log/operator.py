"""One command operator compiled: an expression over a StreamInfo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from sandbox.access_log.command import Command
from sandbox.frozen_dataclass import dataclass

Kind = Literal["text", "number", "structure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator compiled.

    ``source`` may use ``info`` (the StreamInfo), ``request``, ``response``, ``trailers`` (header name to value, in
    bytes) and its own ``names``; it gives ``str``, a number, a structure, or ``None`` for "not there".
    """

    source: str
    kind: Kind = "text"
    is_always_there: bool = False
    is_varied: bool = False
    """Most streams have a value of their own, which is not worth remembering."""
    raw: str = ""
    """Of headers: the expression that gives their bytes."""
    names: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnvironment:
    """What operators may say of the machine: ``%HOSTNAME%``, ``%ENVIRONMENT(X)%``, and identifiers drawn by it."""

    hostname: str = "-"
    variables: Mapping[str, str] = field(default_factory=dict)
    new_id: Callable[[], str] = lambda: "00000000-0000-4000-8000-000000000000"
    clock: Callable[[], float] | None = None
    """The present, for what is formatted before the stream has ended: header values."""


Builder = Callable[[Command, LogEnvironment], Operator]
"""Compiles one command; raises FormatRefused."""


def attribute(name: str) -> Builder:
    """A text field of StreamInfo."""
    operator = Operator(source=f"info.{name}")
    return lambda _command, _environment: operator


def number(name: str) -> Builder:
    """A count in StreamInfo, always there."""
    operator = Operator(source=f"info.{name}", kind="number", is_always_there=True)
    return lambda _command, _environment: operator


def function(read: Callable[..., object], kind: Kind) -> Builder:
    """A value that a function reads from the stream."""
    name = f"_{read.__name__}"
    operator = Operator(source=f"{name}(info)", kind=kind, names={name: read})
    return lambda _command, _environment: operator


def constant(value: str | None, *, is_always_there: bool = False) -> Operator:
    """The same for every stream."""
    return Operator(source=repr(value), is_always_there=is_always_there)


def never(_command: Command, _environment: LogEnvironment) -> Operator:
    """Never there."""
    return constant(None)
