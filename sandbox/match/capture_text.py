"""The capture rules as iptables prints them, for ``egress capture show`` and for iptables-restore."""

from __future__ import annotations

from sandbox.match.capture_rules import CaptureRule, build_rules
from sandbox.plan.capture import CaptureSettings

CHAINS = ("ISTIO_OUTPUT", "ISTIO_OUTPUT_DNS", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT")


def nat_lines(settings: CaptureSettings, version: int) -> list[str]:
    """The nat table's rules for what the workload sends, in the spelling of istio-iptables."""
    rules = build_rules(settings, version)
    dns = [rule for rule in rules if rule.chain == "ISTIO_OUTPUT_DNS"]
    lines = ["-N ISTIO_REDIRECT", "-N ISTIO_IN_REDIRECT", "-N ISTIO_OUTPUT"]
    lines += ["-N ISTIO_OUTPUT_DNS"] if dns else []
    lines += [rule_text(rule, settings) for rule in rules if rule.chain == "OUTPUT"]
    lines.append(f"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {settings.proxy_port}")
    lines.append(f"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {settings.inbound_port}")
    lines.append("-A OUTPUT -j ISTIO_OUTPUT")
    jumped = False
    for rule in rules:
        if rule.chain == "ISTIO_OUTPUT_DNS" and not jumped:
            lines.append("-A ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS")
            jumped = True
        if rule.chain != "OUTPUT":
            lines.append(rule_text(rule, settings))
    return lines


def restore_text(settings: CaptureSettings, version: int) -> str:
    """Input of ``iptables-restore --noflush`` (``ip6tables-restore`` for version 6)."""
    return "\n".join(["*nat", *nat_lines(settings, version), "COMMIT", ""])


def rule_text(rule: CaptureRule, settings: CaptureSettings) -> str:
    """One rule as ``iptables -t nat`` takes it."""
    words = [f"-A {rule.chain}"]
    dns = rule.chain == "ISTIO_OUTPUT_DNS"
    words += [f"-o {rule.interface}"] if rule.interface else []
    words += [f"-s {rule.source}"] if rule.source else []
    words += [f"-d {rule.destination}"] if rule.destination and not dns else []
    words += [f"! -d {rule.not_destination}"] if rule.not_destination else []
    words += _render_protocol(rule)
    words += [f"-d {rule.destination}"] if rule.destination and dns else []
    words += [f"-m owner --uid-owner {rule.uid}"] if rule.uid else []
    words += [f"-m owner ! --uid-owner {rule.not_uid}"] if rule.not_uid else []
    words += [f"-m owner --gid-owner {rule.gid}"] if rule.gid else []
    words += [f"-m owner ! --gid-owner {gid}" for gid in rule.not_gids]
    words.append(f"-j {_target(rule, settings)}")
    return " ".join(words)


def _render_protocol(rule: CaptureRule) -> list[str]:
    if not rule.protocol or (rule.step == "everything is captured" or rule.step == "included range"):
        return []
    words = [f"-p {rule.protocol}"]
    words += [f"--dport {port}" for port in rule.ports]
    if len(rule.not_ports) > 1:
        words.append("-m multiport ! --dports " + ",".join(str(port) for port in rule.not_ports))
    else:
        words += [f"! --dport {port}" for port in rule.not_ports]
    return words


def _target(rule: CaptureRule, settings: CaptureSettings) -> str:
    if rule.target == "RETURN":
        return "RETURN"
    if rule.port == settings.proxy_port:
        return "ISTIO_REDIRECT"
    if rule.port == settings.inbound_port:
        return "ISTIO_IN_REDIRECT"
    # istio-iptables itself writes the option in two spellings; both mean the same.
    return f"REDIRECT --to-port{'s' if rule.protocol == 'tcp' else ''} {rule.port}"
