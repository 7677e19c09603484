"""Parts of listeners and routes that need not be made again: what they were made of is the same as at the last load."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sandbox.compiler.features import Features
from sandbox.compiler.identity import same_mesh, same_objects
from sandbox.compiler.service_registry import REGISTRY_KINDS
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load import Configuration
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.resource import Resource

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope
    from sandbox.yaml_source.problems import Problems

PartT = TypeVar("PartT")
_INPUT_KINDS: Final = frozenset({*REGISTRY_KINDS, "VirtualService"})
"""Kinds whose objects are inputs of single parts; all others are circumstances of every part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Circumstances:
    """What parts depend on besides their inputs; objects count by identity."""

    facts: tuple[object, ...]
    """What is decided by the proxy."""
    scope: tuple[object, ...]
    mesh: MeshConfig
    features: Features
    resources: Mapping[str, tuple[Resource[Any], ...]]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Circumstances)
            and self.facts == other.facts
            and self.scope == other.scope
            and same_mesh(self.mesh, other.mesh)
            and (self.features, self.features.texts) == (other.features, other.features.texts)
            and self.resources.keys() == other.resources.keys()
            and all(same_objects(found, other.resources[kind]) for kind, found in self.resources.items())
        )

    __hash__ = None  # type: ignore[assignment]  # compared with the few of one push


def circumstances_of(push: PushContext, scope: SidecarScope, facts: tuple[object, ...]) -> Circumstances:
    """The circumstances of a proxy's listeners and routes."""
    configuration: Configuration = push.configuration
    return Circumstances(
        facts=facts,
        scope=(scope.name, scope.namespace, id(scope.sidecar)),
        mesh=push.mesh,
        features=push.features,
        resources={kind: found for kind, found in configuration.by_kind.items() if kind not in _INPUT_KINDS},
    )


class PlanParts:
    """Parts by key and inputs; those of the load before are a reserve where the circumstances are the same."""

    __slots__ = ("_made", "_problems", "_reported", "_reserve", "_settled", "_settled_before", "circumstances")

    def __init__(self, circumstances: Circumstances, problems: Problems, previous: PlanParts | None) -> None:
        self.circumstances = circumstances
        self._problems = problems
        self._made: dict[Hashable, tuple[tuple[object, ...], Any]] = {}
        self._reported: set[Hashable] = set()
        self._reserve = previous._silent() if previous is not None else {}
        self._settled: dict[str, object] = {}
        self._settled_before = previous._settled if previous is not None else {}

    def settled(self, what: str, value: PartT) -> PartT:
        """A value that goes into many parts: the equal one of the load before; any other value ends the reserve."""
        before = self._settled_before.get(what)
        if self._reserve and before == value:
            value = before
        else:
            self._reserve = {}
        self._settled[what] = value
        return value

    def part(self, key: Hashable, inputs: tuple[object, ...], make: Callable[[], PartT]) -> PartT:
        """What ``make`` made of the same inputs before, or makes now; inputs count by identity.

        A part about which something was reported is made anew on the next load, so that it is reported again.
        """
        known = self._made.get(key) or self._reserve.get(key)
        if known is not None and same_objects(known[0], inputs):
            self._made[key] = known
            made: PartT = known[1]
            return made
        before = self._problems.told
        made = make()
        self._made[key] = inputs, made
        if self._problems.told > before:
            self._reported.add(key)
        return made

    def _silent(self) -> dict[Hashable, tuple[tuple[object, ...], Any]]:
        """The parts about which nothing was reported."""
        return {key: made for key, made in self._made.items() if key not in self._reported}
