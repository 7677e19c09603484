"""Which virtual host of a route configuration serves an authority."""

from __future__ import annotations

from sandbox.plan.route import RouteConfiguration, VirtualHost

_CACHE_SIZE = 1024


class VirtualHostTable:
    """Envoy's order: exact name, longest ``*.suffix``, longest ``prefix.*``, ``*``; case does not count."""

    __slots__ = ("_default", "_exact", "_found", "_ignore_port", "_prefixes", "_suffixes")

    def __init__(self, configuration: RouteConfiguration) -> None:
        self._exact: dict[bytes, VirtualHost] = {}
        self._default: VirtualHost | None = None
        self._ignore_port = configuration.ignore_port_in_host_matching
        suffixes: dict[int, dict[bytes, VirtualHost]] = {}
        prefixes: dict[int, dict[bytes, VirtualHost]] = {}
        for host in configuration.virtual_hosts:
            for domain in host.domains:
                name = domain.encode().lower()
                if name == b"*":
                    self._default = self._default or host
                elif name.startswith(b"*"):
                    suffixes.setdefault(len(name) - 1, {}).setdefault(name[1:], host)
                elif name.endswith(b"*"):
                    prefixes.setdefault(len(name) - 1, {}).setdefault(name[:-1], host)
                else:
                    self._exact.setdefault(name, host)
        self._suffixes = sorted(suffixes.items(), reverse=True)
        self._prefixes = sorted(prefixes.items(), reverse=True)
        self._found: dict[bytes, VirtualHost | None] = {}

    def find(self, authority: bytes) -> VirtualHost | None:
        """The virtual host for ``:authority`` as it came (port and all); ``None`` is 404, flag NR."""
        exact = self._exact.get(authority)
        if exact is not None and not self._ignore_port:
            return exact
        try:
            return self._found[authority]
        except KeyError:
            return self._remember(authority)

    def _remember(self, authority: bytes) -> VirtualHost | None:
        if len(self._found) >= _CACHE_SIZE:
            self._found.clear()  # clients choose the names: the memory of them stays bounded
        found = self._found[authority] = self._search(authority)
        return found

    def _search(self, authority: bytes) -> VirtualHost | None:
        name = (without_port(authority) if self._ignore_port else authority).lower()
        found = self._exact.get(name)
        if found is not None:
            return found
        size = len(name)
        for length, by_suffix in self._suffixes:
            if length < size and name[size - length :] in by_suffix:
                return by_suffix[name[size - length :]]
        for length, by_prefix in self._prefixes:
            if length < size and name[:length] in by_prefix:
                return by_prefix[name[:length]]
        return self._default


def without_port(authority: bytes) -> bytes:
    """The authority up to its port; the colons inside an IPv6 literal's brackets do not count."""
    colon = authority.rfind(b":")
    if colon < 0 or authority.rfind(b"]") > colon:
        return authority
    return authority[:colon]
