"""Which part of a request chooses the endpoint, from DestinationRules (Istio route.go)."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.istio.destination import Destination
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.load_balancing import ConsistentHashLB, HTTPCookie, LoadBalancerSettings
from sandbox.istio.traffic_policy import PortTrafficPolicy, TrafficPolicy
from sandbox.plan.because import Because
from sandbox.plan.route import (
    CookieAttribute,
    HashPolicy,
    HashPolicyConnectionProperties,
    HashPolicyCookie,
    HashPolicyHeader,
    HashPolicyQueryParameter,
)

_NO_POLICY = TrafficPolicy()


def hash_for_destination(rule: DestinationRule, destination: Destination) -> ConsistentHashLB | None:
    """The hash of a route's destination: subset's port, subset, port, top; ports only where the destination has one."""
    top = rule.traffic_policy or _NO_POLICY
    subset = next((item for item in rule.subsets if item.name == destination.subset), None)
    inner = (subset.traffic_policy if subset is not None else None) or _NO_POLICY
    return (
        _of_port(inner.port_level_settings, destination)
        or _of_balancer(inner.load_balancer)
        or _of_port(top.port_level_settings, destination)
        or _of_balancer(top.load_balancer)
    )


def hash_for_service(rule: DestinationRule, port: int) -> ConsistentHashLB | None:
    """The hash of a service's default route: that of the port, else the top one."""
    policy = rule.traffic_policy or _NO_POLICY
    of_port = next((item for item in policy.port_level_settings if _number(item) == port), None)
    found = _of_balancer(of_port.load_balancer) if of_port is not None else None
    return found or _of_balancer(policy.load_balancer)


def _of_port(settings: Iterable[PortTrafficPolicy], destination: Destination) -> ConsistentHashLB | None:
    if destination.port is None:
        return None
    number = destination.port.number
    found = next((item for item in settings if _number(item) == number), None)
    return _of_balancer(found.load_balancer) if found is not None else None


def _number(setting: PortTrafficPolicy) -> int:
    return setting.port.number if setting.port is not None else 0


def _of_balancer(balancer: LoadBalancerSettings | None) -> ConsistentHashLB | None:
    return balancer.consistent_hash if balancer is not None else None


def translate_hash(consistent_hash: ConsistentHashLB | None) -> HashPolicy | None:
    """Envoy's policy; None where the hash names no key."""
    if consistent_hash is None:
        return None
    if consistent_hash.http_header_name is not None:
        return HashPolicy(header=HashPolicyHeader(header_name=consistent_hash.http_header_name))
    if consistent_hash.http_cookie is not None:
        return HashPolicy(cookie=_cookie(consistent_hash.http_cookie))
    if consistent_hash.use_source_ip is not None:
        source = HashPolicyConnectionProperties(source_ip=consistent_hash.use_source_ip)
        return HashPolicy(connection_properties=source)
    if consistent_hash.http_query_parameter_name is not None:
        return HashPolicy(query_parameter=HashPolicyQueryParameter(name=consistent_hash.http_query_parameter_name))
    return None


def because_of_hashes(hashes: Iterable[ConsistentHashLB | None]) -> tuple[Because, ...]:
    """The lines of DestinationRules that choose a key."""
    return tuple(Because("hash policy", found.origin) for found in hashes if found is not None)


def _cookie(cookie: HTTPCookie) -> HashPolicyCookie:
    return HashPolicyCookie(
        name=cookie.name,
        ttl=cookie.ttl,
        path=cookie.path,
        attributes=tuple(CookieAttribute(name=item.name, value=item.value) for item in cookie.attributes),
    )
