"""Which of many losers are worth telling: those that nearly won, and those whose names look alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Protocol, TypeVar

from sandbox.explain.call import Call
from sandbox.explain.steps import Near
from sandbox.match.reference import Loser
from sandbox.plan import NodePlan
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener

MOST: Final = 3
_ALIKE: Final = 0.65


class Explained(Protocol):
    """A plan object that knows its lines."""

    @property
    def because(self) -> tuple[Because, ...]:
        """Its provenance."""
        ...


E = TypeVar("E", bound=Explained)


def nearest(losers: Sequence[Loser[E]], title: Callable[[E], str], wanted: str = "") -> tuple[Near, ...]:
    """At most three: who nearly won, then (where ``wanted`` is given) whose title looks like it."""
    near = [loser for loser in losers if loser.is_near]
    alike = [
        (similarity, index, loser)
        for index, loser in enumerate(losers)
        if wanted and not loser.is_near and (similarity := likeness(title(loser.candidate), wanted)) >= _ALIKE
    ]
    ordered = near + [loser for _, _, loser in sorted(alike, key=lambda entry: (-entry[0], entry[1]))]
    return tuple(
        Near(
            name=title(loser.candidate),
            reason=loser.reason if loser.is_near else "a similar name",
            because=loser.candidate.because,
        )
        for loser in ordered[:MOST]
    )


def likeness(title: str, wanted: str) -> float:
    """How much one of the words of a title looks like a host name, 0 to 1; ports do not count."""
    return max((_ratio(word.lower().removeprefix("*."), wanted.lower()) for word in title.split()), default=0.0)


def _ratio(word: str, wanted: str) -> float:
    """The labels that two names share at the end do not count: all of a company's hosts share them."""
    mine, theirs = (word.rpartition(":")[0] or word).split("."), wanted.split(".")
    while mine and theirs and mine[-1] == theirs[-1]:
        mine.pop()
        theirs.pop()
    if not mine or not theirs:
        return 1.0  # the same name, or one is a part of the other's domain
    return difflib.SequenceMatcher(None, ".".join(mine), ".".join(theirs), autojunk=False).ratio()


def of_other_protocol(listener: Listener, call: Call, title: Callable[[FilterChain], str]) -> tuple[Near, ...]:
    """Chains that are there for the call's host or port, and do not speak what it speaks."""
    found = []
    for chain in listener.filter_chains:
        names = chain.filter_chain_match.server_names if chain.filter_chain_match is not None else ()
        speaks_http = any(isinstance(each.typed_config, HttpConnectionManager) for each in chain.filters)
        reason = ""
        if not call.is_tls and any(fnmatchcase(call.host.lower(), name) for name in names):
            reason = "it is for TLS, and this call begins without"
        elif call.is_tls and speaks_http and chain.transport_socket is None and not names:
            reason = "it is for plain HTTP, and this call begins with TLS: declare the port HTTPS or TLS"
        if reason:
            found.append(Near(name=title(chain), reason=reason, because=chain.because))
    return tuple(found[:MOST])


def other_ports(plan: NodePlan, call: Call) -> tuple[Near, ...]:
    """The same host on other ports: what a blocked caller probably meant."""
    found: dict[int, Near] = {}
    for name, cluster in plan.clusters.items():
        direction, port, subset, host = _cluster_parts(name)
        is_meant = host == call.host or host in _long_names(call.host, plan.workload.partition("/")[0], host)
        if direction == "outbound" and not subset and is_meant and port != str(call.port):
            reason = f"is known on port {port}, not {call.port}"
            found[int(port)] = Near(name=f"{host}:{port}", reason=reason, because=cluster.because)
    return tuple(near for _, near in sorted(found.items())[:MOST])


def _long_names(name: str, namespace: str, service: str) -> tuple[str, ...]:
    """What a short name may stand for, in the domain of a Service: ``name``, ``name.namespace``, ``….svc``."""
    _, svc, domain = service.partition(".svc.")
    if not svc:
        return ()
    return f"{name}.{namespace}.svc.{domain}", f"{name}.svc.{domain}", f"{name}.{domain}"


def _cluster_parts(name: str) -> tuple[str, str, str, str]:
    parts = name.split("|")
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else ("", "", "", "")
