"""What the system says about names: ``/etc/resolv.conf`` and the hosts file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from sandbox.frozen_dataclass import dataclass

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNames:
    """Servers as (ip, port), search domains, and the hosts file's names in lower case."""

    servers: tuple[tuple[str, int], ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def addresses(self, name: str, *, wants_v6: bool) -> tuple[str, ...]:
        """What the hosts file says; RFC 6761 for ``localhost``."""
        name = name.lower().rstrip(".")
        found = tuple(ip for ip in self.hosts.get(name, ()) if (":" in ip) == wants_v6)
        if not found and (name == "localhost" or name.endswith(".localhost")):
            return ("::1",) if wants_v6 else ("127.0.0.1",)
        return found

    def candidates(self, name: str) -> Iterator[str]:
        """The names to ask for, in order: as it is first where it has enough dots."""
        if name.endswith(".") or not self.search:
            yield name
            return
        is_enough = name.count(".") >= self.ndots
        if is_enough:
            yield name
        for domain in self.search:
            yield f"{name}.{domain}"
        if not is_enough:
            yield name


def read_system_names(resolv_conf: str = RESOLV_CONF, hosts: str = HOSTS) -> SystemNames:
    """Reads both files; one that is absent says nothing."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for words in _lines(resolv_conf):
        match words:
            case ["nameserver", address, *_]:
                servers.append((address, 53))
            case ["search" | "domain", *domains]:
                search = tuple(domain.rstrip(".") for domain in domains if domain != ".")
            case ["options", *options]:
                ndots = next((int(o[6:]) for o in options if o.startswith("ndots:") and o[6:].isdigit()), ndots)
            case _:
                pass
    names: dict[str, tuple[str, ...]] = {}
    for address, *aliases in _lines(hosts):
        for alias in aliases:
            key = alias.lower().rstrip(".")
            names[key] = (*names.get(key, ()), address.partition("%")[0])
    return SystemNames(servers=tuple(servers[:3]), search=search, ndots=ndots, hosts=names)


def _lines(path: str) -> Iterator[list[str]]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield words
