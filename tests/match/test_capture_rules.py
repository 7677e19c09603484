"""Which packets of a workload are captured."""

from __future__ import annotations

import pytest

from sandbox.match.capture_rules import Packet, build_rules, decide
from sandbox.match.capture_text import restore_text
from sandbox.plan.capture import CaptureSettings

EVERYTHING = CaptureSettings()
ONE_RANGE = CaptureSettings(include_ip_ranges=("10.0.0.0/24",))
PORTS = CaptureSettings(
    include_ip_ranges=(), include_ports=(443, 8443), exclude_ports=(8443,), exclude_ip_ranges=("192.0.2.0/24",)
)
DNS = CaptureSettings(redirect_dns=True, dns_servers=("10.96.0.10", "fd00::a"))


@pytest.mark.parametrize(
    ("settings", "packet", "port", "step"),
    [
        pytest.param(
            EVERYTHING,
            Packet(destination="198.51.100.1", destination_port=443),
            15001,
            "everything is captured",
            id="by default all TCP is captured",
        ),
        pytest.param(
            EVERYTHING,
            Packet(destination="198.51.100.1", destination_port=443, protocol="udp"),
            None,
            None,
            id="QUIC is not captured",
        ),
        pytest.param(
            EVERYTHING,
            Packet(destination="198.51.100.1", destination_port=443, uid="1337"),
            None,
            "the proxy's own traffic",
            id="the proxy's own connections leave",
        ),
        pytest.param(
            EVERYTHING,
            Packet(destination="127.0.0.1", destination_port=80, interface="lo"),
            None,
            "the application calls over loopback",
            id="local servers stay local",
        ),
        pytest.param(
            ONE_RANGE,
            Packet(destination="10.0.0.9", destination_port=80),
            15001,
            "included range",
            id="inside the only range",
        ),
        pytest.param(
            ONE_RANGE,
            Packet(destination="198.51.100.1", destination_port=80),
            None,
            None,
            id="outside the only range external traffic leaves untouched",
        ),
        pytest.param(
            PORTS,
            Packet(destination="198.51.100.1", destination_port=443),
            15001,
            "included port",
            id="an included port is captured without any range",
        ),
        pytest.param(
            PORTS,
            Packet(destination="192.0.2.1", destination_port=443),
            None,
            "excluded range",
            id="an excluded range beats an included port",
        ),
        pytest.param(
            PORTS,
            Packet(destination="198.51.100.1", destination_port=8443),
            None,
            "excluded port",
            id="an excluded port beats everything",
        ),
        pytest.param(
            DNS,
            Packet(destination="10.96.0.10", destination_port=53, protocol="udp"),
            15053,
            "DNS question",
            id="a question to the nameserver",
        ),
        pytest.param(
            DNS,
            Packet(destination="fd00::a", destination_port=53, protocol="udp"),
            15053,
            "DNS question",
            id="a question to the nameserver over IPv6",
        ),
        pytest.param(
            DNS,
            Packet(destination="9.9.9.9", destination_port=53, protocol="udp"),
            None,
            None,
            id="a question to another server",
        ),
        pytest.param(
            CaptureSettings(redirect_dns=True),
            Packet(destination="9.9.9.9", destination_port=53, protocol="udp"),
            None,
            None,
            id="without known nameservers no question is captured",
        ),
    ],
)
def test_the_first_rule_that_applies_decides_about_a_packet(
    settings: CaptureSettings, packet: Packet, port: int | None, step: str | None
) -> None:
    version = 6 if ":" in packet.destination else 4

    verdict = decide(build_rules(settings, version), packet)

    assert verdict.port == port
    assert (verdict.rule and verdict.rule.step) == step


def test_rules_name_the_setting_that_put_them_there() -> None:
    rule = decide(build_rules(ONE_RANGE, 4), Packet(destination="10.0.0.9", destination_port=80)).rule

    assert rule is not None
    assert rule.setting == "include_ip_ranges"


def test_rules_as_text_for_iptables_restore() -> None:
    assert restore_text(ONE_RANGE, 4).splitlines() == [
        "*nat",
        "-N ISTIO_REDIRECT",
        "-N ISTIO_IN_REDIRECT",
        "-N ISTIO_OUTPUT",
        "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
        "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006",
        "-A OUTPUT -j ISTIO_OUTPUT",
        "-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
        "-A ISTIO_OUTPUT -d 10.0.0.0/24 -j ISTIO_REDIRECT",
        "COMMIT",
    ]
