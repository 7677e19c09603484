"""YAML mappings into typed messages, driven by the type hints of the message classes.

It takes what protobuf JSON takes (both spellings of a field, numbers as text, null as absent) and reports every fault
with its place. Faults that ``istiod`` cannot get over either make the object ``unparsable``; what only the API
server's schema refuses (unknown fields, snake_case, numbers as text) does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from sandbox.istio import decode_scalars
from sandbox.istio.decode_scalars import Convert
from sandbox.istio.emulation import NOT_EMULATED, WITHOUT_EFFECT
from sandbox.istio.message import Message
from sandbox.istio.misplaced_fields import rightful_place
from sandbox.istio.read_object import LEFT_OUT, NotEmulated, ObjectReader, Spot, shown, spot_path
from sandbox.istio.scalars import IntegerRange
from sandbox.yaml_source.nodes import YamlMapping, YamlSequence
from sandbox.yaml_source.place import Place, camel_case
from sandbox.yaml_source.problems import did_you_mean

MessageT = TypeVar("MessageT", bound=Message)

_SCALARS: Final[Mapping[object, Convert]] = {
    str: decode_scalars.text,
    bool: decode_scalars.boolean,
    float: decode_scalars.number,
    int: decode_scalars.integer(IntegerRange(-(2**63), 2**63 - 1)),
    bytes: decode_scalars.octets,
    timedelta: decode_scalars.duration,
    datetime: decode_scalars.moment,
    object: decode_scalars.free_value,
}
_SNAKE_CASE_IN_SCHEMA: Final = frozenset({"HTTPRoute.mirror_percent", "JWTRule.jwks_uri"})
"""Fields whose snake_case spelling the API server takes too."""
_MENTIONED: Final = frozenset({*NOT_EMULATED, *WITHOUT_EFFECT})
_INTEGER_KEY: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,20})\Z")
_FEW_FIELDS: Final = 12
_NO_FAST_TYPE: Final = NoneType


class _Field(NamedTuple):
    """How one key of a mapping is read."""

    name: str
    convert: Convert
    fast_type: type
    """A value of exactly this type needs no conversion."""
    canonical: bool
    """False for the snake_case spelling, which the API server does not take."""
    not_emulated: bool


class Shape(NamedTuple):
    """What a message class looks like to the decoder."""

    message_type: type[Message]
    by_key: Mapping[str, _Field]


def decode_message(message_type: type[MessageT], node: YamlMapping, reader: ObjectReader, path: str) -> MessageT:
    """A message out of its mapping; ``path`` is its field path within the object."""
    shape = shape_of(message_type)  # type: ignore[arg-type]  # a class is hashable
    by_key = shape.by_key
    if reader.open_fields:
        # A place keeps its node, and objects out of a cluster hold much that nobody here reads.
        node = node.only(by_key)
    values: dict[str, object] = {"place": Place(reader.resource, reader.source, path, node)}
    for key, value in node.items():
        known = by_key.get(key)
        if known is None:
            if not reader.open_fields:
                _unknown_field(shape, node, key, reader, path)
            continue
        if value is None and known.convert is not decode_scalars.free_value:
            continue
        if not known.canonical or known.not_emulated:
            _remark(shape, known, reader, Spot(node, key, path))
            if not known.canonical and node.get(camel_case(key)) is not None:
                continue
        if value.__class__ is not known.fast_type:
            value = known.convert(value, reader, Spot(node, key, path))
            if value is LEFT_OUT:
                continue
        values[known.name] = value
    if message_type.ONEOFS:
        _keep_one_of_each(message_type, values, reader, path)
    return message_type(**values)  # type: ignore[arg-type]  # the shape has made them fit


@cache
def shape_of(message_type: type[Message]) -> Shape:
    """The fields of a message class by every key that names them."""
    hints = get_type_hints(message_type, localns={}, include_extras=True)
    by_key: dict[str, _Field] = {}
    for field in fields(message_type):
        if field.name == "place":
            continue
        convert, fast_type = _converter(hints[field.name])
        proto_name = field.name.rstrip("_")
        json_name = camel_case(proto_name)
        not_emulated = f"{message_type.__name__}.{field.name}" in _MENTIONED
        by_key[json_name] = _Field(field.name, convert, fast_type, True, not_emulated)
        in_schema = f"{message_type.__name__}.{field.name}" in _SNAKE_CASE_IN_SCHEMA
        by_key.setdefault(proto_name, _Field(field.name, convert, fast_type, in_schema, not_emulated))
    return Shape(message_type, by_key)


def _converter(hint: object) -> tuple[Convert, type]:
    """The converter for a type hint, and the type that can pass without it."""
    if isinstance(hint, type) and is_dataclass(hint) and issubclass(hint, Message):
        return _message(hint), _NO_FAST_TYPE
    if hint in _SCALARS:
        return _SCALARS[hint], hint if hint in (str, bool, float) else _NO_FAST_TYPE
    kind, arguments = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return _optional(arguments)
    if kind is Annotated:
        return decode_scalars.integer(arguments[1]), _NO_FAST_TYPE
    if kind is Literal:
        return decode_scalars.word(arguments), _NO_FAST_TYPE
    if kind is tuple:
        return _repeated(_converter(arguments[0])[0]), _NO_FAST_TYPE
    if arguments == (str, object):
        return decode_scalars.free_mapping, _NO_FAST_TYPE
    return _map(arguments[0], _converter(arguments[1])[0]), _NO_FAST_TYPE


def _optional(arguments: tuple[object, ...]) -> tuple[Convert, type]:
    present = [argument for argument in arguments if argument is not NoneType]
    if len(present) == 1:
        return _converter(present[0])
    return decode_scalars.integer_or_text, _NO_FAST_TYPE


def _message(message_type: type[Message]) -> Convert:
    def convert(value: object, reader: ObjectReader, spot: Spot) -> object:
        if isinstance(value, YamlMapping):
            return decode_message(message_type, value, reader, spot_path(spot))
        if value is None:
            empty = YamlMapping(spot.holder.line, spot.holder.column)
            return message_type(place=Place(reader.resource, reader.source, spot_path(spot), empty))
        return reader.fault(
            "SBX0102", f"mapping expected, not {shown(value)}", spot, hint=_mapping_hint(message_type, value)
        )

    return convert


def _mapping_hint(message_type: type[Message], value: object) -> str:
    if not message_type.MEANT or not isinstance(value, str | int | float):
        return ""
    return f"write {{{message_type.MEANT}: {'…' if isinstance(value, bool) else value}}}"


def _repeated(convert_item: Convert) -> Convert:
    def convert(value: object, reader: ObjectReader, spot: Spot) -> object:
        if not isinstance(value, YamlSequence):
            hint = "begin the item with `- `" if not isinstance(value, str | bool) or value else ""
            return reader.fault("SBX0102", f"list expected, not {shown(value)}", spot, hint=hint)
        path = spot_path(spot)
        items = [convert_item(item, reader, Spot(value, index, path)) for index, item in enumerate(value)]
        return tuple(item for item in items if item is not LEFT_OUT)

    return convert


def _map(key_hint: object, convert_value: Convert) -> Convert:
    convert_key = None if key_hint is str else _converter(key_hint)[0]

    def convert(value: object, reader: ObjectReader, spot: Spot) -> object:
        if not isinstance(value, YamlMapping):
            return reader.fault("SBX0102", f"mapping expected, not {shown(value)}", spot)
        path = spot_path(spot)
        entries: dict[object, object] = {}
        for key, item in value.items():
            inner = Spot(value, key, path)
            name = key if convert_key is None else _map_key(convert_key, key, reader, inner)
            converted = convert_value(item, reader, inner)
            if name is not LEFT_OUT and converted is not LEFT_OUT:
                entries[name] = converted
        return entries

    return convert


def _map_key(convert_key: Convert, key: str, reader: ObjectReader, spot: Spot) -> object:
    if _INTEGER_KEY.match(key):
        return convert_key(int(key), reader, spot)
    return reader.fault("SBX0102", f"the keys are numbers, not {shown(key)}", spot)


def _keep_one_of_each(message_type: type[Message], values: dict[str, object], reader: ObjectReader, path: str) -> None:
    for group in message_type.ONEOFS:
        written = [name for name in group if name in values]
        if len(written) < 2:
            continue
        place = values["place"]
        assert isinstance(place, Place), "set by decode_message"
        names = " and ".join(place.key(name) for name in written)
        spot = Spot(place.node, place.key(written[-1]), path)
        hint = f"istiod would take {place.key(written[-1])}"
        reader.complain("SBX0301", f"only one of {names} can be set", spot, hint=hint, at_key=True)
        for name in written[:-1]:
            del values[name]


def _unknown_field(shape: Shape, node: YamlMapping, key: str, reader: ObjectReader, path: str) -> None:
    names = [name for name, field in shape.by_key.items() if field.canonical]
    near = did_you_mean(key, names)
    is_meant_here = near.lower().startswith(key.lower())
    place = rightful_place(reader.root, path, key) if not is_meant_here and reader.root is not None else ""
    listed = f"the fields are {', '.join(names)}" if len(names) <= _FEW_FIELDS else ""
    hint = f"{key} belongs under {place}" if place else f"did you mean {near}?" if near else listed
    message = f"unknown field {key} in {shape.message_type.__name__}"
    reader.unknown_field(message, Spot(node, key, path), hint=hint)


def _remark(shape: Shape, known: _Field, reader: ObjectReader, spot: Spot) -> None:
    if not known.canonical and not reader.open_fields:
        message = f"{spot.key} is a spelling that istiod takes and the API server does not"
        hint = f"write {camel_case(known.name)}"
        reader.other_spelling(message, spot, hint=hint)
    if known.not_emulated:
        name = f"{shape.message_type.__name__}.{known.name}"
        reader.not_emulated.append(NotEmulated(name, spot_path(spot), reader.span(spot, at_key=True)))
