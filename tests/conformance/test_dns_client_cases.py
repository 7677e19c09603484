"""Istio's own expectations of the DNS proxy (``cases/istio/dns_client.json``), over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sandbox.dns.respond import MINIMUM_UDP_BYTES
from sandbox.dns.server import DnsServer
from sandbox.dns.upstream import UpstreamResolvers, UpstreamServer
from sandbox.match.name_lookup import NameLookup, alternate_names
from sandbox.plan.name_table import NameEntry, NameTable

CASES = Path(__file__).parents[3] / "shared" / "cases" / "istio" / "dns_client.json"


def _cases() -> list[dict[str, Any]]:
    return list(json.loads(CASES.read_text())) if CASES.exists() else []


pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the case files do not lie beside the checkout")


def _setting() -> dict[str, Any]:
    setting: dict[str, Any] = _cases()[0]["_server"]
    return setting


def _table(hosts: Mapping[str, Mapping[str, Any]]) -> NameTable:
    return NameTable(
        hosts={
            host: NameEntry(
                addresses=tuple(entry["ips"]),
                registry=entry["registry"],
                short_name=entry.get("shortname", ""),
                namespace=entry.get("namespace", ""),
                alternate_hosts=tuple(entry.get("altHosts", ())),
            )
            for host, entry in hosts.items()
        }
    )


def _upstream_reply(wire: bytes) -> bytes:
    """What the upstream of Istio's test says: one known name, two giants, and NXDOMAIN for the rest."""
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    name = query.question[0].name.to_text()
    addresses: list[str] = []
    if name == "www.bing.com.":
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "1.1.1.1"))
    elif name.startswith("giant"):
        limit = max(MINIMUM_UDP_BYTES, query.payload if query.edns >= 0 else 0)
        count = 29 if name == "giant-tc." and limit < 65535 else 64
        addresses = [f"240.0.0.{number}" for number in range(count)]
        reply.answer.append(dns.rrset.from_text_list("aaaaaaaaaaaa.aaaaaa.", 60, "IN", "A", addresses))
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire(max_size=65535)


class _Upstream(asyncio.DatagramProtocol):
    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, source: Any) -> None:
        if not self._silent:
            self._transport.sendto(_upstream_reply(data), source)


async def _serve_upstream_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    length = int.from_bytes(await reader.readexactly(2), "big")
    reply = _upstream_reply(await reader.readexactly(length))
    writer.write(len(reply).to_bytes(2, "big") + reply)
    await writer.drain()
    writer.close()


async def _ask(case: dict[str, Any], network: str) -> dns.message.Message:
    setting = _setting()
    loop = asyncio.get_running_loop()
    lookup = NameLookup(
        _table(setting["name_table"]),
        namespace=setting["proxy_namespace"],
        domain=setting["proxy_domain"],
        search_domain=setting["search_namespaces"][0],
    )
    silent = case["kind"] == "upstream_timeout"
    tcp = await asyncio.start_server(_serve_upstream_tcp, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await loop.create_datagram_endpoint(lambda: _Upstream(silent=silent), local_addr=("127.0.0.1", port))
    timeout = float(case.get("upstream_timeout", "5s").rstrip("s"))
    server = DnsServer(
        lambda: lookup, UpstreamResolvers([UpstreamServer("127.0.0.1", port)], timeout), random.Random(1)
    )
    own_port = await server.start("127.0.0.1", 0)
    try:
        payload = case["query"].get("edns0_udp_size")
        query = dns.message.make_query(
            case["query"]["name"], case["query"]["type"], use_edns=False if payload is None else 0, payload=payload or 0
        )
        if network == "udp":
            return await dns.asyncquery.udp(query, "127.0.0.1", port=own_port, timeout=5)
        return await dns.asyncquery.tcp(query, "127.0.0.1", port=own_port, timeout=5)
    finally:
        await server.stop()
        udp.close()
        tcp.close()


def _records(reply: dns.message.Message) -> list[dict[str, str]]:
    """The answers as the case files write them."""
    records = []
    for rrset in reply.answer:
        kind = dns.rdatatype.to_text(rrset.rdtype)
        value = "target" if kind == "CNAME" else "ip"
        records += [{"type": kind, "name": rrset.name.to_text(), value: record.to_text()} for record in rrset]
    return records


QUESTIONS = [
    pytest.param(case, network, id=f"{case['id'].rpartition('/')[2]} over {network}")
    for case in _cases()
    if case["kind"] in ("dns_query", "upstream_timeout")
    for network in case.get("networks", ["udp"])
]


@pytest.mark.parametrize(("case", "network"), QUESTIONS)
def test_question(case: dict[str, Any], network: str) -> None:
    reply = asyncio.run(_ask(case, network))

    expect = case["expect"]
    if expect.get("rcode"):
        assert dns.rcode.to_text(reply.rcode()) == expect["rcode"]
    if "answers" in expect:
        found = _records(reply)
        # Istio shuffles several addresses; only which ones there are is promised.
        key = json.dumps
        assert sorted(found, key=key) == sorted(expect["answers"], key=key)
        assert [record["type"] for record in found] == [record["type"] for record in expect["answers"]]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case["id"].rpartition("/")[2]) for case in _cases() if case["kind"] == "alternate_hosts"],
)
def test_alternate_names(case: dict[str, Any]) -> None:
    setting = _setting()
    names: set[str] = set()
    for host, entry in _table(setting["name_table"]).hosts.items():
        if host.startswith(case["starts_with"]):
            names |= alternate_names(host, entry, setting["proxy_namespace"], "svc.cluster.local")

    # The agent also lists the name of the table itself, which its own table test writes without the last dot.
    expected = {name for name in case["expect"]["names"] if name.endswith(".")}
    assert names == expected
