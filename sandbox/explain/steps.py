"""What a walk finds: steps with reasons, lines and losers, and the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from sandbox.explain.call import Call
from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.tls import UpstreamTlsContext
from sandbox.yaml_source.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Something that was not chosen although it nearly was."""

    name: str
    reason: str
    because: tuple[Because, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: ``kind`` (``listener``, ``route`` …), what was found, and why."""

    kind: str
    found: str
    reason: str = ""
    because: tuple[Because, ...] = ()
    losers: tuple[Near, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Where a forwarded call goes on: the endpoint, and the TLS that the proxy begins (``None``: none)."""

    address: str
    """Or a name that only DNS knows."""
    port: int
    tls: UpstreamTlsContext | None = None
    authority: str | None = None
    """What the route makes of the host, where it rewrites it."""
    path: str | None = None
    """The same for the path."""


Station = tuple[object, ...]
"""Where a call is, and what it is by then: the same once more is a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the caller and the log would see.

    ``status`` is ``None`` where the upstream says it, 0 where there is no HTTP status; ``flags`` as Envoy logs them.
    """

    sentence: str
    status: int | None = None
    flags: tuple[str, ...] = ()
    details: str = ""
    cluster: str = ""
    route: str = ""
    is_forwarded: bool = False
    flags_if_refused: tuple[str, ...] = ()
    """Of a forwarded call: the flags where no connection to the upstream comes about."""
    notes: tuple[str, ...] = ()
    hop: Hop | None = None
    loop_to: Station | None = None
    """Where the call comes back to, where it has been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A call's way through one node."""

    call: Call
    node_type: str
    workload: str
    steps: tuple[Step, ...]
    outcome: Outcome
    findings: tuple[Problem, ...] = ()
    """What was found out about the objects that decided, e.g. a rule that is never reached."""
    onward: Walk | None = None
    """The way through the gateway that the call is forwarded to."""

    @property
    def nodes(self) -> Iterator[Walk]:
        """This walk, and those through each gateway after it."""
        walk: Walk | None = self
        while walk is not None:
            yield walk
            walk = walk.onward

    @property
    def station(self) -> Station:
        """Node, port, and of the call what decides there."""
        call = self.call
        request = (call.method, call.authority, call.path) if call.is_http and self.outcome.status != 0 else ()
        return (self.workload, call.port, call.server_name, *request)

    def step(self, kind: str) -> Step | None:
        """The first step of a kind."""
        return next((step for step in self.steps if step.kind == kind), None)

    def as_dict(self) -> dict[str, object]:
        """The walk as plain data for JSON."""
        outcome = self.outcome
        return {
            "call": str(self.call),
            "node": self.node_type,
            "workload": self.workload,
            "steps": [_step_dict(step) for step in self.steps],
            "outcome": {
                "status": outcome.status,
                "flags": ",".join(outcome.flags) or "-",
                "details": outcome.details or None,
                "cluster": outcome.cluster or None,
                "route": outcome.route or None,
                "forwarded": outcome.is_forwarded,
                "loop": outcome.loop_to is not None,
                "sentence": outcome.sentence,
                "notes": list(outcome.notes),
            },
            "findings": [
                {"code": each.code, "message": each.message, "place": str(each.span) if each.span else None}
                for each in self.findings
            ],
            "onward": self.onward.as_dict() if self.onward is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of a step's provenance, ready to print: what, where (``file:line``) and the object, or the default."""

    what: str
    where: str
    text: str
    because: Because = field(compare=False, repr=False)


def reason_of(because: Because) -> Reason:
    """A ``Because`` as text."""
    origin = because.origin
    if isinstance(origin, IstioDefault):
        where = str(origin.setting) if origin.setting is not None else "default"
        return Reason(because.what, where, origin.rule, because)
    path = f" {origin.path}" if origin.path else ""
    return Reason(because.what, str(origin), f"{origin.resource}{path}", because)


def _because_dict(because: Because) -> Mapping[str, object]:
    origin = because.origin
    if isinstance(origin, IstioDefault):
        setting = origin.setting
        return {"what": because.what, "default": origin.rule, "setting": str(setting) if setting is not None else None}
    return {
        "what": because.what,
        "file": origin.span.file,
        "line": origin.span.line,
        "object": str(origin.resource),
        "field": origin.path,
    }


def _step_dict(step: Step) -> dict[str, object]:
    return {
        "step": step.kind,
        "found": step.found,
        "reason": step.reason,
        "because": [_because_dict(each) for each in step.because],
        "notChosen": [
            {"name": near.name, "reason": near.reason, "because": [_because_dict(each) for each in near.because]}
            for near in step.losers
        ],
        "notes": list(step.notes),
    }
