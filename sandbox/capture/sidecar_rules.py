"""A workload's capture rules in the network namespace where it runs: one nf_tables table of ours for each IP version.

The table's chain goes before those of iptables (priority -101), so that a container engine's own DNS rules, at -100,
do not take questions away; and it has no conntrack zones, which would break their way back. Calls of
the proxy to its own workload are inbound traffic, which nobody here serves: they pass.
"""

from __future__ import annotations

import errno
import pwd

from sandbox.capture import nftables as nft
from sandbox.match.capture_rules import CaptureRule, build_rules
from sandbox.plan.capture import CaptureSettings

TABLE = "egress_sandbox"
CHAIN = "output"
PRIORITY = -101
FAMILIES = {4: "ip", 6: "ip6"}
_PROTOCOLS = {"tcp": nft.TCP, "udp": nft.UDP}
_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP)


def install(settings: CaptureSettings) -> None:
    """Lays the rules in one transaction for each IP version, in place of those laid before; ``OSError`` if refused."""
    for version, family in FAMILIES.items():
        batch = nft.RuleBatch()
        _empty(batch, family)
        batch.table(family, TABLE)
        batch.output_chain(family, TABLE, CHAIN, "nat", PRIORITY)
        for rule in build_rules(settings, version):
            batch.rule(family, TABLE, CHAIN, rule.step, *_expressions(rule, settings))
        _apply(batch, version)


def remove() -> None:
    """Takes the rules away, if there are any; ``OSError`` if refused."""
    for version, family in FAMILIES.items():
        batch = nft.RuleBatch()
        _empty(batch, family)
        _apply(batch, version)


def _empty(batch: nft.RuleBatch, family: str) -> None:
    """Deleting needs the table to be there, and making it again keeps the one that is."""
    batch.table(family, TABLE)
    batch.delete_table(family, TABLE)


def _apply(batch: nft.RuleBatch, version: int) -> None:
    try:
        batch.apply()
    except OSError as error:
        if version == 4 or error.errno not in _WITHOUT_IPV6:
            raise


def _expressions(rule: CaptureRule, settings: CaptureSettings) -> list[bytes]:
    """The rule's criteria, all of which must hold, and what then happens."""
    found = [nft.output_interface(rule.interface)] if rule.interface else []
    found += [nft.source(rule.source)] if rule.source else []
    found += [nft.destination(rule.destination)] if rule.destination else []
    found += [nft.destination(rule.not_destination, inverted=True)] if rule.not_destination else []
    redirected = rule.target == "REDIRECT"
    if rule.protocol or redirected:
        found.append(nft.protocol(_PROTOCOLS[rule.protocol or "tcp"]))
    found += [nft.destination_port(port) for port in rule.ports]
    found += [nft.destination_port(port, inverted=True) for port in rule.not_ports]
    found += _owners(rule)
    inbound = redirected and rule.port == settings.inbound_port
    return [*found, nft.redirect(rule.port) if redirected and not inbound else nft.accept()]


def _owners(rule: CaptureRule) -> list[bytes]:
    found = [nft.owner(_user(rule.uid))] if rule.uid else []
    found += [nft.owner(_user(rule.not_uid), inverted=True)] if rule.not_uid else []
    found += [nft.owner_group(_group(rule.gid))] if rule.gid else []
    return found + [nft.owner_group(_group(gid), inverted=True) for gid in rule.not_gids]


def _user(text: str) -> int:
    return int(text) if text.isdigit() else pwd.getpwnam(text).pw_uid


def _group(text: str) -> int:
    if text.isdigit():
        return int(text)
    import grp  # only for groups given by name

    return grp.getgrnam(text).gr_gid
