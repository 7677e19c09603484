"""Plan messages ↔ Envoy's JSON, one generic translation driven by the classes' type hints.

The conventions that make this possible are told in ``sandbox.plan.base``. ``encode`` omits what is absent in protobuf's
sense; ``decode`` reads what ``encode`` writes, and any Envoy configuration made only of fields that the plan knows.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import sandbox.plan
from sandbox.plan.base import Extension

TYPE_URL = "type.googleapis.com/"

Json = Any
"""A value of a JSON document."""


class UnknownField(ValueError):
    """The JSON holds a field or message that the plan does not have."""


def encode(message: object) -> dict[str, Json]:
    """The message as Envoy's JSON, with snake_case names and ``@type`` where it is an extension."""
    encoded: dict[str, Json] = {}
    if isinstance(message, Extension):
        encoded["@type"] = TYPE_URL + message.TYPE
    for name, default in _fields_with_default(_class_of(message)):
        value = getattr(message, name)
        if value is None or value == default:
            continue
        oneof = getattr(value, "ONEOF", None)
        if oneof is None:
            encoded[name] = encode_value(value)
        elif name == "action":
            encoded[oneof] = encode_value(value)
        else:
            encoded[name] = {oneof: encode_value(value)}
    return encoded


def encode_value(value: object) -> Json:
    """Any value of a plan field as JSON."""
    match value:
        case bool() | int() | float() | str() | None:
            return value
        case tuple() | list():
            return [_encode_item(item) for item in value]
        case Mapping():
            return {str(key): encode_value(item) for key, item in value.items()}
        case timedelta():
            return encode_duration(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return encode(value)


def _encode_item(item: object) -> Json:
    oneof = getattr(item, "ONEOF", None)
    return encode_value(item) if oneof is None else {oneof: encode_value(item)}


def encode_duration(duration: timedelta) -> str:
    """protobuf's JSON form: seconds with 0, 3 or 6 decimals and an ``s``."""
    microseconds = duration // timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    seconds, rest = divmod(microseconds, 1_000_000)
    if not rest:
        return f"{sign}{seconds}s"
    return f"{sign}{seconds}.{rest // 1000:03d}s" if rest % 1000 == 0 else f"{sign}{seconds}.{rest:06d}s"


T = TypeVar("T")


def decode(cls: type[T], data: Mapping[str, Json], *, ignore_unknown: bool = False) -> T:
    """Builds a plan message of ``cls`` from Envoy's JSON (snake_case).

    Raises ``UnknownField`` for what the plan does not know, unless told to ignore it.
    """
    values: dict[str, Any] = {}
    message_class: Any = cls
    readers = _readers(message_class)
    for key, value in data.items():
        reader = readers.get(key)
        if reader is not None:
            name, read = reader
            values[name] = read(value, ignore_unknown)
        elif key != "@type" and not ignore_unknown:
            raise UnknownField(f"{cls.__name__} has no field {key}")
    return cls(**values)


Reader = Callable[[Json, bool], Any]


def _class_of(message: object) -> Any:
    return type(message)


@cache
def _fields_with_default(cls: Any) -> tuple[tuple[str, object], ...]:
    return tuple((item.name, item.default) for item in dataclasses.fields(cls) if item.name != "because")


@cache
def _readers(cls: Any) -> dict[str, tuple[str, Reader]]:
    """JSON key → field name and its reader; a oneof field stands under the key of each member."""
    hints = typing.get_type_hints(cls)
    readers: dict[str, tuple[str, Reader]] = {}
    for name, _ in _fields_with_default(cls):
        members = [member for member in _alternatives(hints[name]) if hasattr(member, "ONEOF")]
        if name == "action" and members:
            readers.update({member.ONEOF: (name, _reader(member)) for member in members})
        else:
            readers[name] = (name, _reader(hints[name]))
    return readers


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(member for member in typing.get_args(hint) if member is not type(None))
    return (hint,)


def _reader(hint: Any) -> Reader:
    alternatives = _alternatives(hint)
    if len(alternatives) > 1:
        by_key = {member.ONEOF: member for member in alternatives}
        return lambda value, lax: _read_oneof(by_key, value, lax)
    (kind,) = alternatives
    origin = typing.get_origin(kind)
    if origin is tuple:
        item = _reader(typing.get_args(kind)[0])
        return lambda value, lax: tuple(item(each, lax) for each in value)
    if origin is not None and issubclass(origin, Mapping):
        item = _reader(typing.get_args(kind)[1])
        return lambda value, lax: {key: item(each, lax) for key, each in value.items()}
    if kind is timedelta:
        return lambda value, lax: decode_duration(value)
    if kind is bytes:
        return lambda value, lax: base64.b64decode(value)
    if kind is Extension:
        return _read_extension
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if issubclass(kind, Extension):
            return _read_extension
        message: type[Any] = kind
        return lambda value, lax: decode(message, value, ignore_unknown=lax)
    if kind is int:
        return lambda value, lax: int(value)
    return lambda value, lax: value


def _read_oneof(by_key: Mapping[str, type], value: Json, lax: bool) -> Any:
    for key, member in by_key.items():
        if key in value:
            return decode(member, value[key], ignore_unknown=lax)
    raise UnknownField(f"none of {', '.join(by_key)} in {value}")


def _read_extension(value: Json, lax: bool) -> Any:
    name = value["@type"].removeprefix(TYPE_URL)
    cls = _extensions().get(name)
    if cls is None:
        if lax:
            return None
        raise UnknownField(f"the plan has no extension {name}")
    return decode(cls, value, ignore_unknown=lax)


@cache
def _extensions() -> dict[str, type]:
    for module in pkgutil.iter_modules(sandbox.plan.__path__):
        importlib.import_module(f"sandbox.plan.{module.name}")
    return {cls.TYPE: cls for cls in _subclasses(Extension)}


def _subclasses(cls: type[Any]) -> Iterator[Any]:
    for subclass in type.__subclasses__(cls):
        yield subclass
        yield from _subclasses(subclass)


def decode_duration(text: str) -> timedelta:
    """``"1.500s"`` as a duration."""
    return timedelta(seconds=float(text.removesuffix("s")))
