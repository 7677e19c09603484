"""What all messages of the API have in common: they know where they were written.

Conventions of the modules of this package: a class is called as the proto message and a field as the proto field;
``None`` is an absent message, wrapper or oneof member; other fields hold the proto's zero when absent;
``repeated`` is a tuple, ``map`` a mapping, a duration a ``timedelta``, an enum the proto's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Final, NoReturn

from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.place import NOWHERE, Place
from sandbox.yaml_source.span import Origin


class _NoEntries(dict[Any, Any]):
    """A mapping that stays empty, so that every message may share it as a default."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none, but this one never changes
        return 0

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError("messages are immutable")


EMPTY: Final[Mapping[Any, Any]] = _NoEntries()
"""The value of a map nobody wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of every message; ``place`` is false for built-in defaults."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of fields of which one counts; where several are written, istiod takes the last of the group."""

    MEANT: ClassVar[str] = ""
    """The field that somebody means who writes a value where the message stands."""

    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def origin(self) -> Origin:
        """Where this message begins."""
        return self.place.origin()

    def origin_of(self, name: str, *keys: int | str) -> Origin:
        """Where a field was written (``origin_of("hosts", 2)`` is an item); falls back to what is around it."""
        return self.place.field_origin(name, *keys)

    def written(self, name: str) -> bool:
        """Whether the user wrote this field, even with the value it has by default."""
        return self.place.written(name)
