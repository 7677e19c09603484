"""The same table as by netlink, laid by the program nft: for whoever wants to see it go through a tool they know."""

from __future__ import annotations

import shutil
import subprocess

from sandbox.capture.sidecar_rules import CHAIN, FAMILIES, PRIORITY, TABLE
from sandbox.errors import SandboxError
from sandbox.match.capture_rules import CaptureRule, build_rules
from sandbox.plan.capture import CaptureSettings

PROGRAM = "nft"


def install(settings: CaptureSettings) -> None:
    """Lays the rules in place of those laid before; a machine without IPv6 gets the IPv4 half."""
    if shutil.which(PROGRAM) is None:
        raise SandboxError("there is no program nft")
    for version in FAMILIES:
        text = table_text(settings, version)
        ended = subprocess.run([PROGRAM, "-f", "-"], input=text, capture_output=True, text=True, check=False)
        if ended.returncode != 0 and version == 4:
            raise SandboxError(f"nft refuses the rules: {ended.stderr.strip()}")


def table_text(settings: CaptureSettings, version: int) -> str:
    """Input of ``nft -f``: the table is emptied and made anew, in one transaction."""
    family = FAMILIES[version]
    rules = [_rule_text(rule, settings, family) for rule in build_rules(settings, version)]
    lines = [f"table {family} {TABLE}", f"delete table {family} {TABLE}", f"table {family} {TABLE} {{"]
    lines += [f"  chain {CHAIN} {{", f"    type nat hook output priority {PRIORITY}; policy accept;"]
    return "\n".join([*lines, *(f"    {rule}" for rule in rules), "  }", "}", ""])


def _rule_text(rule: CaptureRule, settings: CaptureSettings, family: str) -> str:
    redirected = rule.target == "REDIRECT"
    protocol = rule.protocol or ("tcp" if redirected else "")
    words = [f'oifname "{rule.interface}"'] if rule.interface else []
    words += [f"{family} saddr {rule.source}"] if rule.source else []
    words += [f"{family} daddr {rule.destination}"] if rule.destination else []
    words += [f"{family} daddr != {rule.not_destination}"] if rule.not_destination else []
    words += [f"meta l4proto {protocol}"] if protocol else []
    words += [f"{protocol} dport {port}" for port in rule.ports]
    words += [f"{protocol} dport != {port}" for port in rule.not_ports]
    words += [f"meta skuid {rule.uid}"] if rule.uid else []
    words += [f"meta skuid != {rule.not_uid}"] if rule.not_uid else []
    words += [f"meta skgid {rule.gid}"] if rule.gid else []
    words += [f"meta skgid != {gid}" for gid in rule.not_gids]
    inbound = redirected and rule.port == settings.inbound_port
    return " ".join([*words, f"redirect to :{rule.port}" if redirected and not inbound else "accept"])
