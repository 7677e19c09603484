"""``dataclass`` as the standard library's, for hundreds of records at start-up: methods are made at their first use.

The standard decorator writes and compiles five methods for each class, 0.3 ms of start-up each [measured], and most
classes of Envoy's and Istio's models are never instantiated in one run. Here a class gets a stand-in for ``__init__``,
``__eq__`` and ``__hash__`` which makes the real one when it is first called. Type checkers see the standard decorator.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
    ) -> Any:
        """The decorator, with or without options."""

        def decorate(plain: type) -> type:
            with _as_if_not_frozen(plain):
                made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(plain)
            made.__dataclass_params__.frozen = frozen
            made.__init__ = _init_at_first_call(made, frozen)
            if "__repr__" not in vars(plain):
                made.__repr__ = _repr
            if eq and "__eq__" not in vars(plain):
                _compare_at_first_call(made, frozen)
            if frozen:
                made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
                made.__getstate__, made.__setstate__ = _getstate, _setstate
            return made

        return decorate if cls is None else decorate(cls)


@contextmanager
def _as_if_not_frozen(plain: type) -> Iterator[None]:
    """The standard decorator would make the methods of ``frozen`` itself, and it refuses bases unlike the class."""
    parameters = [base.__dataclass_params__ for base in plain.__mro__[1:] if dataclasses.is_dataclass(base)]  # type: ignore[attr-defined]  # not in the stubs
    frozen = [one.frozen for one in parameters]
    for one in parameters:
        one.frozen = False
    yield
    for one, was_frozen in zip(parameters, frozen, strict=True):
        one.frozen = was_frozen


def _init_at_first_call(cls: Any, frozen: bool) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__ = _init(cls, frozen)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _init(cls: Any, frozen: bool) -> Any:
    """``__init__`` of all fields; slots are filled through their descriptors, the fastest way past ``__setattr__``."""
    names: dict[str, Any] = {"MISSING": dataclasses.MISSING}
    positional: list[str] = []
    keyword: list[str] = []
    body: list[str] = []
    for field in dataclasses.fields(cls):
        name = field.name
        if field.default_factory is not dataclasses.MISSING:
            names[f"factory_{name}"], default = field.default_factory, "=MISSING"
            value = f"factory_{name}() if {name} is MISSING else {name}"
        else:
            names[f"default_{name}"], value = field.default, name
            default = "" if field.default is dataclasses.MISSING else f"=default_{name}"
        (keyword if field.kw_only else positional).append(name + default)
        if frozen:
            names[f"set_{name}"] = getattr(cls, name).__set__
            body.append(f"set_{name}(self, {value})")
        else:
            body.append(f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *keyword] if keyword else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), names)
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _compare_at_first_call(cls: Any, frozen: bool) -> None:
    def __eq__(self: Any, other: object) -> bool:
        _compare(cls, frozen)
        equal: bool = cls.__eq__(self, other)
        return equal

    def __hash__(self: Any) -> int:
        _compare(cls, frozen)
        return hash(self)

    cls.__eq__ = __eq__
    cls.__hash__ = __hash__ if frozen else None


def _compare(cls: Any, frozen: bool) -> None:
    """Puts the real ``__eq__`` and ``__hash__`` in place: those of the tuple of all compared fields."""
    fields = dataclasses.fields(cls)
    ours, theirs = (
        f"({''.join(f'{whose}.{one.name},' for one in fields if one.compare)})" for whose in ("self", "other")
    )
    hashed = "".join(f"self.{one.name}," for one in fields if (one.compare if one.hash is None else one.hash))
    names: dict[str, Any] = {}
    exec(
        f"def __eq__(self, other):\n"
        f" return {ours} == {theirs} if other.__class__ is self.__class__ else NotImplemented\n"
        f"def __hash__(self):\n return hash(({hashed}))",
        names,
    )
    cls.__eq__ = names["__eq__"]
    cls.__hash__ = names["__hash__"] if frozen else None


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
