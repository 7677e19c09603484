"""istio-iptables' own goldens (``cases/istio/iptables.json``): every verdict, and every rule for outbound traffic."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.match.capture_rules import Packet, build_rules, decide
from sandbox.match.capture_text import nat_lines
from sandbox.plan.capture import CaptureSettings

CASES = Path(__file__).parents[3] / "shared" / "cases" / "istio" / "iptables.json"

pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the case files do not lie beside the checkout")


def _params() -> list[Any]:
    cases = json.loads(CASES.read_text()) if CASES.exists() else []
    return [pytest.param(case, id=case["id"].rpartition("/")[2]) for case in cases]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _settings(config: dict[str, Any]) -> CaptureSettings:
    return CaptureSettings(
        proxy_port=int(config["PROXY_PORT"]),
        inbound_port=int(config["INBOUND_CAPTURE_PORT"]),
        tunnel_port=int(config["INBOUND_TUNNEL_PORT"]),
        proxy_uids=_words(config["PROXY_UID"]),
        proxy_gids=_words(config["PROXY_GID"]),
        include_ip_ranges=_words(config.get("OUTBOUND_IPRANGES_INCLUDE", "")),
        exclude_ip_ranges=_words(config.get("OUTBOUND_IPRANGES_EXCLUDE", "")),
        include_ports=tuple(int(port) for port in _words(config.get("OUTBOUND_PORTS_INCLUDE", ""))),
        exclude_ports=tuple(int(port) for port in _words(config.get("OUTBOUND_PORTS_EXCLUDE", ""))),
        exclude_interfaces=_words(config.get("EXCLUDE_INTERFACES", "")),
        include_owner_groups=_words(config.get("OUTBOUND_OWNER_GROUPS_INCLUDE", "*")),
        exclude_owner_groups=_words(config.get("OUTBOUND_OWNER_GROUPS_EXCLUDE", "")),
        redirect_dns=config.get("REDIRECT_DNS", False),
        capture_all_dns=config.get("CAPTURE_ALL_DNS", False),
        dns_servers=(*config.get("DNS_SERVERS_V4", ()), *config.get("DNS_SERVERS_V6", ())),
        ipv4_loopback=config.get("HOST_IPV4_LOOPBACK_CIDR", "127.0.0.1/32"),
    )


@pytest.mark.parametrize("case", _params())
def test_verdicts(case: dict[str, Any]) -> None:
    settings = _settings(case["config"])

    for probe in case["derived_outbound_probes"]:
        version = ipaddress.ip_address(probe["dst"]).version
        packet = Packet(
            destination=probe["dst"],
            destination_port=probe["dport"],
            source=probe["src"],
            protocol=probe["proto"],
            uid=probe["uid"],
            gid=probe["gid"],
            interface=probe["oif"],
        )
        verdict = decide(build_rules(settings, version), packet)
        told = "not captured" if verdict.port is None else f"REDIRECT to {verdict.port}"
        assert told == probe["verdict"], probe["name"]


@pytest.mark.parametrize("case", _params())
def test_rules_for_outbound_traffic(case: dict[str, Any]) -> None:
    settings = _settings(case["config"])
    tables = _outbound_nat_rules(case["expect"]["golden_text"])

    for version, golden in zip((4, 6), tables, strict=False):
        ours = [line for line in nat_lines(settings, version) if _is_outbound(line)]
        assert ours == golden


def _outbound_nat_rules(text: str) -> list[list[str]]:
    """The nat tables of the golden, v4 first, each as its rules that concern outbound traffic."""
    tables = [block.split("COMMIT")[0] for block in text.split("* nat\n")[1:]]
    return [[line for line in table.splitlines() if _is_outbound(line)] for table in tables]


def _is_outbound(line: str) -> bool:
    return line.startswith(("-A ISTIO_OUTPUT", "-A OUTPUT", "-A ISTIO_REDIRECT"))
