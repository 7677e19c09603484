"""The stand-in for the cluster's DNS server: Services, ExternalName Services, and what it passes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sandbox.dns.cluster import ClusterServer
from sandbox.match.cluster_names import ClusterNames
from sandbox.match.name_lookup import NameLookup
from sandbox.plan.name_table import NameEntry, NameTable

SERVICE = NameEntry(addresses=("10.96.0.80",), registry="Kubernetes", short_name="web", namespace="shop")
NAMES = ClusterNames(
    services=NameLookup(
        NameTable(hosts={"web.shop.svc.cluster.local": SERVICE}),
        namespace="shop",
        domain="shop.svc.cluster.local",
        search_domain=None,
    ),
    external={"api.shop.svc.cluster.local": "api.example.com", "db.shop.svc.cluster.local": "db.example.com"},
    given={"db.example.com": ("198.18.0.1", "2001:db8::1")},
)


class Beyond:
    """The next server: knows api.example.com, and says NXDOMAIN to all else; or is silent."""

    def __init__(self, *, silent: bool = False, also: Mapping[str, str] | None = None) -> None:
        self.silent = silent
        self.known = {"api.example.com. A": "api.example.com. 60 A 203.0.113.1", **(also or {})}
        self.asked: list[str] = []

    async def ask(self, query: bytes, *, over_tcp: bool, size_limit: int) -> bytes | None:
        message = dns.message.from_wire(query)
        question = message.question[0].to_text().replace(" IN", "")
        self.asked.append(f"{question} by {'TCP' if over_tcp else 'UDP'}")
        if self.silent:
            return None
        reply = dns.message.make_response(message)
        if question in self.known:
            name, seconds, kind, data = self.known[question].split()
            reply.answer.append(dns.rrset.from_text(name, int(seconds), "IN", kind, data))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


def ask(
    name: str,
    kind: str = "A",
    *,
    beyond: Beyond | None = None,
    names: ClusterNames | None = NAMES,
    in_cluster: bool = False,
) -> str:
    """Status and records of the reply, on one line."""
    server = ClusterServer(lambda: names, beyond or Beyond(), lambda addresses: None, in_cluster=in_cluster)
    query = dns.message.make_query(name, kind, id=77)
    wire = asyncio.run(server.ask(query.to_wire(), over_tcp=False, size_limit=512))
    if wire is None:
        return "silence"
    reply = dns.message.from_wire(wire)
    assert reply.id == 77
    assert reply.question == query.question
    records = [line for rrset in reply.answer for line in rrset.to_text().replace(" IN ", " ").splitlines()]
    return "; ".join([dns.rcode.to_text(reply.rcode()), *records])


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        pytest.param(
            "web.shop.svc.cluster.local",
            "A",
            "NOERROR; web.shop.svc.cluster.local. 30 A 10.96.0.80",
            id="a Service",
        ),
        pytest.param("web.shop", "A", "NOERROR; web.shop. 30 A 10.96.0.80", id="by a short name"),
        pytest.param("web.shop.svc.cluster.local", "AAAA", "NOERROR", id="without an address of that family"),
        pytest.param(
            "API.shop.svc.cluster.local",
            "A",
            "NOERROR; api.shop.svc.cluster.local. 30 CNAME api.example.com.; api.example.com. 60 A 203.0.113.1",
            id="the name behind is asked for outside",
        ),
        pytest.param(
            "api.shop.svc.cluster.local",
            "AAAA",
            "NXDOMAIN; api.shop.svc.cluster.local. 30 CNAME api.example.com.",
            id="its status is passed on",
        ),
        pytest.param(
            "db.shop.svc.cluster.local",
            "A",
            "NOERROR; db.shop.svc.cluster.local. 30 CNAME db.example.com.; db.example.com. 30 A 198.18.0.1",
            id="an address that is given",
        ),
        pytest.param(
            "db.shop.svc.cluster.local",
            "AAAA",
            "NOERROR; db.shop.svc.cluster.local. 30 CNAME db.example.com.; db.example.com. 30 AAAA 2001:db8::1",
            id="an IPv6 address that is given",
        ),
        pytest.param("other.example", "A", "NXDOMAIN", id="all else is passed on"),
    ],
)
def test_what_the_cluster_answers(name: str, kind: str, said: str) -> None:
    assert ask(name, kind) == said


def test_name_behind_that_nobody_answers_for_is_a_server_failure() -> None:
    assert ask("api.shop.svc.cluster.local", beyond=Beyond(silent=True)) == "SERVFAIL"


def test_given_name_is_not_asked_for() -> None:
    beyond = Beyond()

    ask("db.shop.svc.cluster.local", beyond=beyond)
    ask("web.shop", beyond=beyond)
    ask("api.shop.svc.cluster.local", beyond=beyond)

    assert beyond.asked == ["api.example.com. A by UDP"]


def test_before_a_configuration_is_there_everything_is_passed_on() -> None:
    assert ask("web.shop", names=None) == "NXDOMAIN"
    assert ask("web.shop", names=None, beyond=Beyond(silent=True)) == "silence"


@pytest.mark.parametrize("knows", [True, False], ids=["which knows the name", "which does not"])
def test_a_server_of_the_cluster_is_asked_first(*, knows: bool) -> None:
    told = "api.shop.svc.cluster.local. 60 A 203.0.113.9"
    beyond = Beyond(also={"api.shop.svc.cluster.local. A": told} if knows else {})
    own = "api.shop.svc.cluster.local. 30 CNAME api.example.com.; api.example.com. 60 A 203.0.113.1"

    said = ask("api.shop.svc.cluster.local", beyond=beyond, in_cluster=True)

    assert said == f"NOERROR; {told if knows else own}"


def test_a_server_that_is_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Beyond):
        async def ask(self, query: bytes, *, over_tcp: bool, size_limit: int) -> bytes | None:
            if not self.asked:
                self.asked.append("first")
                await asyncio.Event().wait()
            return await super().ask(query, over_tcp=over_tcp, size_limit=size_limit)

    monkeypatch.setattr("sandbox.dns.cluster._PATIENCE_SECONDS", 0.01)
    assert ask("web.shop", beyond=Slow(), in_cluster=True) == "NOERROR; web.shop. 30 A 10.96.0.80"
