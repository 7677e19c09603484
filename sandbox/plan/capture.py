"""Which of a workload's connections are captured: istio-iptables' settings, not Envoy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """What istio-init is told; the defaults are those of injection. Ranges and ports stand in the order written.

    ``include_ip_ranges`` with ``*`` among it is everything, empty is nothing. Users and groups may be names or numbers.
    """

    proxy_port: int = 15001
    inbound_port: int = 15006
    tunnel_port: int = 15008
    dns_port: int = 15053
    proxy_uids: tuple[str, ...] = ("1337",)
    proxy_gids: tuple[str, ...] = ("1337",)
    include_ip_ranges: tuple[str, ...] = ("*",)
    exclude_ip_ranges: tuple[str, ...] = ()
    include_ports: tuple[int, ...] = ()
    exclude_ports: tuple[int, ...] = ()
    exclude_interfaces: tuple[str, ...] = ()
    include_owner_groups: tuple[str, ...] = ("*",)
    exclude_owner_groups: tuple[str, ...] = ()
    redirect_dns: bool = False
    capture_all_dns: bool = False
    dns_servers: tuple[str, ...] = ()
    """Nameservers of the workload's resolver, of both families; only questions to them are captured."""
    ipv4_loopback: str = "127.0.0.1/32"
    interception_mode: str = "REDIRECT"
    reasons: Mapping[str, Because] = field(default_factory=dict, compare=False, repr=False)
    """Field name → the line, or the default, that set it."""

    @property
    def captures_dns(self) -> bool:
        """DNS is only captured when it is known which questions to capture."""
        return self.redirect_dns and (self.capture_all_dns or bool(self.dns_servers))
