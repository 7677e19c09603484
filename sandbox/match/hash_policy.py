"""Hashes of requests and connections for consistent load balancing (``hash_policy.cc``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sandbox.match.facts import RequestFacts
from sandbox.match.xxhash64 import xxhash64
from sandbox.plan.route import HashPolicy, HashPolicyCookie

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF

RequestHash = Callable[[RequestFacts, str], "int | None"]
"""From a request and the client's IP to a hash; ``None`` where nothing of it can be hashed (a random host serves)."""


def compile_hash_policy(policies: Sequence[HashPolicy]) -> RequestHash | None:
    """``None`` where there is no policy; a missing cookie gives no hash (the router adds ``made_cookie`` first)."""
    parts = [(part, policy.terminal) for policy in policies if (part := _compile(policy)) is not None]
    if not parts:
        return None

    def hash_request(facts: RequestFacts, client_ip: str) -> int | None:
        result: int | None = None
        for part, is_terminal in parts:
            value = part(facts, client_ip)
            if value is not None:
                result = value if result is None else ((result << 1 | result >> 63) & _MASK) ^ value
            if is_terminal and result is not None:
                break
        return result

    return hash_request


def _compile(policy: HashPolicy) -> RequestHash | None:
    if policy.header is not None:
        name = policy.header.header_name.lower().encode()
        return lambda facts, _ip: _hash_header(facts, name)
    if policy.cookie is not None:
        cookie = policy.cookie.name.encode()
        return lambda facts, _ip: _hash_of(cookie_value(facts, cookie))
    if policy.query_parameter is not None:
        parameter = policy.query_parameter.name.encode()
        return lambda facts, _ip: _hash_of(facts.query.get(parameter))
    if policy.connection_properties is not None and policy.connection_properties.source_ip:
        return lambda _facts, ip: xxhash64(ip.encode()) if ip else None
    return None


def _hash_of(value: bytes | None) -> int | None:
    return None if value is None else xxhash64(value)


def _hash_header(facts: RequestFacts, name: bytes) -> int | None:
    """Repeated values are hashed in sorted order, each hash the seed of the next."""
    values = facts.values(name)
    if not values:
        return None
    result = 0
    for value in sorted(values):
        result = xxhash64(value, result)
    return result


def cookie_value(facts: RequestFacts, name: bytes) -> bytes | None:
    """A cookie of the request, without the double quotes around it; an empty one counts as missing."""
    for key, header in facts.headers:
        if key != b"cookie":
            continue
        for part in header.split(b";"):
            cookie, equals, value = part.strip(b" ").partition(b"=")
            if equals and cookie == name:
                if len(value) >= 2 and value[:1] == value[-1:] == b'"':
                    value = value[1:-1]
                return value or None
    return None


def made_cookie(policy: HashPolicyCookie, client: str, local: str) -> tuple[bytes, bytes]:
    """Value and ``set-cookie`` header of a cookie that the proxy makes; its value is made of both addresses."""
    value = format(xxhash64((client + local).encode()), "016x").encode()
    lifetime = int(policy.ttl.total_seconds()) if policy.ttl is not None else 0
    header = b'%s="%s"' % (policy.name.encode(), value)
    if lifetime:
        header += b"; Max-Age=%d" % lifetime
    if policy.path:
        header += b"; Path=" + policy.path.encode()
    for attribute in policy.attributes:
        header += b"; " + attribute.name.encode() + (b"=" + attribute.value.encode() if attribute.value else b"")
    return value, header + b"; HttpOnly"
