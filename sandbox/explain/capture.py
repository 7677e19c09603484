"""Why a connection of a workload is captured or left alone: the rule of istio-iptables that decides, and its author."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.match.capture_rules import Packet, Verdict, build_rules, decide
from sandbox.match.capture_text import rule_text
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.capture import CaptureSettings

_DEFAULTS: Mapping[str, str] = {
    "": "calls that the sidecar passes on to its own workload come from this address",
    "proxy_uids": "the sidecar's own user is told apart from the application by its number",
    "proxy_gids": "the sidecar's own group is told apart from the application by its number",
    "include_owner_groups": "all groups are captured",
    "exclude_owner_groups": "no group is left out",
    "ipv4_loopback": "what goes to loopback is never captured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureAnswer:
    """``port`` is the sidecar's that gets the connection, ``None`` where it leaves untouched."""

    packet: Packet
    port: int | None
    step: str
    rule: str
    """As iptables prints it; empty where no rule applies."""
    because: Because


def answer(settings: CaptureSettings, packet: Packet) -> CaptureAnswer:
    """What becomes of the packet, and why."""
    verdict = decide(build_rules(settings, ipaddress.ip_address(packet.destination).version), packet)
    return CaptureAnswer(
        packet=packet,
        port=verdict.port,
        step=step_of(settings, verdict),
        rule="" if verdict.rule is None else rule_text(verdict.rule, settings),
        because=_because(settings, verdict, packet),
    )


def step_of(settings: CaptureSettings, verdict: Verdict) -> str:
    """The deciding step in words."""
    if verdict.rule is not None:
        return verdict.rule.step
    return "no capture at all" if settings.interception_mode == "NONE" else "in no included range"


def _because(settings: CaptureSettings, verdict: Verdict, packet: Packet) -> Because:
    if settings.interception_mode == "NONE":
        return settings.reasons["interception_mode"]
    if verdict.rule is None and packet.protocol != "tcp":
        return Because("protocol", IstioDefault("only TCP is captured, and DNS where that is switched on"))
    setting = verdict.rule.setting if verdict.rule is not None else "include_ip_ranges"
    known = settings.reasons.get(setting)
    return known if known is not None else Because(setting or "source address", IstioDefault(_DEFAULTS[setting]))
