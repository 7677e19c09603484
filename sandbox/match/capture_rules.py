"""Is a packet of the workload captured? istio-iptables' rules as data, in its order, and the walk through them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.capture import CaptureSettings

DNS_SERVICE_PORT = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The first packet of a connection, as the kernel sees it leave."""

    destination: str
    destination_port: int
    source: str = "0.0.0.0"
    protocol: str = "tcp"
    uid: str = "0"
    gid: str = "0"
    interface: str = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRule:
    """One rule; every criterion that is set must hold. ``target`` is RETURN, or REDIRECT with ``port``.

    ``step`` says in words what the rule is for, ``setting`` is the field of ``CaptureSettings`` that put it there.
    """

    chain: str = "ISTIO_OUTPUT"
    step: str
    setting: str
    target: str = "RETURN"
    port: int = 0
    interface: str = ""
    source: str = ""
    destination: str = ""
    not_destination: str = ""
    protocol: str = ""
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()
    uid: str = ""
    not_uid: str = ""
    gid: str = ""
    not_gids: tuple[str, ...] = ()

    def applies(self, packet: Packet) -> bool:
        """Whether the packet meets all criteria."""
        return (
            self.interface in ("", packet.interface)
            and self.protocol in ("", packet.protocol)
            and (not self.ports or packet.destination_port in self.ports)
            and packet.destination_port not in self.not_ports
            and self.uid in ("", packet.uid)
            and self.not_uid != packet.uid
            and self.gid in ("", packet.gid)
            and packet.gid not in self.not_gids
            and (not self.source or _is_in(packet.source, self.source))
            and (not self.destination or _is_in(packet.destination, self.destination))
            and (not self.not_destination or not _is_in(packet.destination, self.not_destination))
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the packet goes: ``port`` of the proxy or ``None``; ``rule`` is ``None`` when no rule applied."""

    port: int | None
    rule: CaptureRule | None


def decide(rules: tuple[CaptureRule, ...], packet: Packet) -> Verdict:
    """The first rule that applies decides; a packet that no rule wants is not captured."""
    for rule in rules:
        if rule.applies(packet):
            return Verdict(rule.port if rule.target == "REDIRECT" else None, rule)
    return Verdict(None, None)


def build_rules(settings: CaptureSettings, version: int) -> tuple[CaptureRule, ...]:
    """The rules for what the workload sends over IP ``version`` (4 or 6), in istio-iptables' order.

    1. interfaces, 2. ports that are left out, 3. the inbound pass-through's source, 4. the proxy's own users and
    groups, 5. groups of the application, 6. DNS, 7. loopback, 8. ranges that are left out, 9. ports and then ranges
    that are captured (Istio ``tools/istio-iptables/pkg/capture/run.go``).
    """
    return () if settings.interception_mode == "NONE" else tuple(_rules(settings, version))


def _rules(settings: CaptureSettings, version: int) -> Iterator[CaptureRule]:
    loopback = settings.ipv4_loopback if version == 4 else "::1/128"
    for name in settings.exclude_interfaces:
        yield CaptureRule(chain="OUTPUT", step="excluded interface", setting="exclude_interfaces", interface=name)
    for port in settings.exclude_ports:
        for protocol in ("tcp", "udp"):
            yield CaptureRule(step="excluded port", setting="exclude_ports", protocol=protocol, ports=(port,))
    yield CaptureRule(
        step="inbound pass-through", setting="", interface="lo", source="127.0.0.6/32" if version == 4 else "::6/128"
    )
    for uid in settings.proxy_uids:
        yield from _owner_rules(settings, version, loopback, uid=uid)
    for gid in settings.proxy_gids:
        yield from _owner_rules(settings, version, loopback, gid=gid)
    yield from _group_rules(settings)
    if settings.captures_dns:
        yield from _dns_rules(settings, version)
    yield CaptureRule(step="loopback", setting="ipv4_loopback", destination=loopback)
    yield from _destination_rules(settings, version)


def _owner_rules(
    settings: CaptureSettings, version: int, loopback: str, *, uid: str = "", gid: str = ""
) -> Iterator[CaptureRule]:
    """The proxy's own packets: to itself over loopback they are inbound calls, all others leave; and the application's
    calls over loopback are left alone, unless a captured range holds loopback addresses.
    """
    setting = "proxy_uids" if uid else "proxy_gids"
    dns = settings.captures_dns
    yield CaptureRule(
        step="the proxy calls its own workload",
        setting=setting,
        target="REDIRECT",
        port=settings.inbound_port,
        interface="lo",
        not_destination=loopback,
        protocol="tcp",
        not_ports=(DNS_SERVICE_PORT, settings.tunnel_port) if dns and uid else (settings.tunnel_port,),
        uid=uid,
        gid=gid,
    )
    if not _captures_loopback(settings, version):
        yield CaptureRule(
            step="the application calls over loopback",
            setting=setting,
            interface="lo",
            protocol="tcp" if dns else "",
            not_ports=(DNS_SERVICE_PORT,) if dns else (),
            not_uid=uid,
            not_gids=(gid,) if gid else (),
        )
    yield CaptureRule(step="the proxy's own traffic", setting=setting, uid=uid, gid=gid)


def _group_rules(settings: CaptureSettings) -> Iterator[CaptureRule]:
    if "*" not in settings.include_owner_groups:
        yield CaptureRule(
            step="group that is not included", setting="include_owner_groups", not_gids=settings.include_owner_groups
        )
        return
    for group in settings.exclude_owner_groups:
        yield CaptureRule(step="excluded group", setting="exclude_owner_groups", gid=group)


def _dns_rules(settings: CaptureSettings, version: int) -> Iterator[CaptureRule]:
    servers = [f"{server}/{32 if version == 4 else 128}" for server in _of_version(settings.dns_servers, version)]
    destinations = [""] if settings.capture_all_dns else servers
    for protocol in ("tcp", "udp"):
        for destination in destinations:
            yield CaptureRule(
                chain="ISTIO_OUTPUT_DNS",
                step="DNS question",
                setting="redirect_dns",
                target="REDIRECT",
                port=settings.dns_port,
                protocol=protocol,
                ports=(DNS_SERVICE_PORT,),
                destination=destination,
            )


def _destination_rules(settings: CaptureSettings, version: int) -> Iterator[CaptureRule]:
    for cidr in _of_version(settings.exclude_ip_ranges, version):
        yield CaptureRule(step="excluded range", setting="exclude_ip_ranges", destination=cidr)
    for port in settings.include_ports:
        yield CaptureRule(
            step="included port",
            setting="include_ports",
            target="REDIRECT",
            port=settings.proxy_port,
            protocol="tcp",
            ports=(port,),
        )
    everything = "*" in settings.include_ip_ranges
    for cidr in [""] if everything else _of_version(settings.include_ip_ranges, version):
        yield CaptureRule(
            step="everything is captured" if everything else "included range",
            setting="include_ip_ranges",
            target="REDIRECT",
            port=settings.proxy_port,
            protocol="tcp",
            destination=cidr,
        )


def _captures_loopback(settings: CaptureSettings, version: int) -> bool:
    if "*" in settings.include_ip_ranges:
        return False
    ranges = _of_version(settings.include_ip_ranges, version)
    return any(ipaddress.ip_network(cidr, strict=False).is_loopback for cidr in ranges)


def _of_version(addresses: tuple[str, ...], version: int) -> list[str]:
    """Addresses and ranges of one IP version, as written."""
    return [text for text in addresses if text != "*" and ipaddress.ip_network(text, strict=False).version == version]


def _is_in(address: str, cidr: str) -> bool:
    network = ipaddress.ip_network(cidr, strict=False)
    ip = ipaddress.ip_address(address)
    return ip.version == network.version and ip in network
