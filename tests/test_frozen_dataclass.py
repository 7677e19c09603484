"""Our ``dataclass`` behaves as the standard library's wherever we rely on it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import pytest

from sandbox.frozen_dataclass import dataclass as ours


def make(decorator: Callable[..., Any]) -> tuple[type[Any], type[Any]]:
    """The same two classes by one decorator or the other."""

    @decorator(frozen=True, slots=True, kw_only=True)
    class Base:
        KIND: ClassVar[str] = "base"
        place: str = field(default="nowhere", compare=False, repr=False)

    @decorator(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        name: str
        parts: tuple[int, ...] = ()
        settings: dict[str, int] = field(default_factory=dict, hash=False)

    return Base, Derived


CLASSES = {"ours": make(ours), "the standard library's": make(dataclasses.dataclass)}


@pytest.fixture(params=CLASSES)
def derived(request: pytest.FixtureRequest) -> type[Any]:
    return CLASSES[request.param][1]


def test_fields_come_from_the_base_too(derived: type[Any]) -> None:
    assert [one.name for one in dataclasses.fields(derived)] == ["place", "name", "parts", "settings"]


def test_defaults_and_factories_fill_in(derived: type[Any]) -> None:
    first, second = derived(name="a"), derived(name="b")

    assert (first.place, first.parts, first.settings, first.KIND) == ("nowhere", (), {}, "base")
    assert first.settings is not second.settings


@pytest.mark.parametrize("arguments", [{}, {"name": "a", "unknown": 1}], ids=["one is missing", "one is unknown"])
def test_wrong_arguments_are_refused(derived: type[Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        derived(**arguments)


def test_equality_ignores_what_takes_no_part(derived: type[Any]) -> None:
    assert derived(name="a", place="here") == derived(name="a", place="there")
    assert derived(name="a") != derived(name="b")
    assert derived(name="a") != "a"


def test_nothing_can_be_set(derived: type[Any]) -> None:
    made = derived(name="a")

    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.name


def test_replace_makes_another(derived: type[Any]) -> None:
    assert dataclasses.replace(derived(name="a", place="here"), name="b").place == "here"


def test_a_copy_is_equal(derived: type[Any]) -> None:
    made = derived(name="a", parts=(1, 2))

    assert copy.copy(made) == made
    assert copy.deepcopy(made) == made


def test_repr_leaves_out_what_it_should(derived: type[Any]) -> None:
    assert repr(derived(name="a")).endswith("Derived(name='a', parts=(), settings={})")


@ours(frozen=True, slots=True)
class Pair:
    """Two positional fields."""

    left: int
    right: int = 2


def test_positional_fields_hash_match_and_pickle() -> None:
    match Pair(1):
        case Pair(left, right):
            assert (left, right) == (1, 2)
    assert hash(Pair(1)) == hash(Pair(1, 2))
    assert pickle.loads(pickle.dumps(Pair(3))) == Pair(3)


@ours(slots=True)
class Counter:
    """A record that changes."""

    count: int = 0


def test_a_record_that_changes_has_no_hash() -> None:
    counter = Counter()
    counter.count += 1

    assert counter == Counter(1)
    with pytest.raises(TypeError):
        hash(counter)


@ours(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A record that is only equal to itself."""

    name: str = ""


def test_identity_where_equality_is_not_wanted() -> None:
    one = Node(name="a")

    assert one == one
    assert one != Node(name="a")
    assert len({one, Node(name="a")}) == 2


@pytest.mark.parametrize(
    ("base", "derived"),
    [
        pytest.param(ours, dataclasses.dataclass, id="theirs from ours"),
        pytest.param(dataclasses.dataclass, ours, id="ours from theirs"),
    ],
)
def test_both_kinds_may_derive_from_each_other(base: Callable[..., Any], derived: Callable[..., Any]) -> None:
    @base(frozen=True, slots=True, kw_only=True)
    class Base:
        name: str = "a"

    @derived(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        other: str = "b"

    make: Any = Derived
    both = make(name="c")
    assert (both.name, both.other) == ("c", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Base().name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Derived().name = "b"
