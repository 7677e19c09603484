"""Other names a host is reached by: with a final dot, and shorter ones inside the cluster.

Source: Istio pilot/pkg/networking/core/httproute.go (``GenerateAltVirtualHosts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.compiler.proxy import is_ip_address

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext

_SERVICE_ZONE: Final = ".svc."


def bracketed(host: str) -> str:
    """An IPv6 address in brackets, anything else as it is."""
    return f"[{host}]" if ":" in host else host


def with_port(host: str, port: int) -> str:
    """``host:port``."""
    return f"{bracketed(host)}:{port}"


def forms(name: str, port: int) -> tuple[str, ...]:
    """A name as it is, and with its port unless that is 0."""
    return (bracketed(name), with_port(name, port)) if port else (bracketed(name),)


def alternative_names(push: PushContext, host: str, port: int, dns_domain: str) -> tuple[str, ...]:
    """All but the name itself; ``port`` 0: no forms with a port. ``dns_domain``: ``ns.svc.cluster.local``."""
    absolute: tuple[str, ...] = ()
    if push.features.enable_absolute_fqdn_vhost_domain:
        plain = () if is_ip_address(host) else (f"{host}.",)
        absolute = (*plain, with_port(f"{host}.", port)) if port else plain
    if _SERVICE_ZONE in dns_domain:
        zone = dns_domain[dns_domain.index(_SERVICE_ZONE) :] if not dns_domain.startswith(_SERVICE_ZONE) else dns_domain
        shorter = _kubernetes_names(host, dns_domain) if host.endswith(zone) else ()
    else:
        shorter = _shared_domain_names(host, dns_domain)
    return (*absolute, *(form for name in shorter for form in forms(name, port)))


def _kubernetes_names(host: str, dns_domain: str) -> tuple[str, ...]:
    """``name.ns``, ``name.ns.svc``, and ``name`` inside its own namespace."""
    qualified, zone, _ = host.partition(_SERVICE_ZONE)
    name, dot, namespace = qualified.partition(".")
    if not zone or not qualified or not dot:
        return ()
    if namespace == dns_domain.partition(_SERVICE_ZONE)[0]:
        return name, f"{qualified}.svc", qualified
    return qualified, f"{qualified}.svc"


def _shared_domain_names(host: str, dns_domain: str) -> tuple[str, ...]:
    """Outside Kubernetes: the host without the part of the domain it shares with the proxy."""
    labels, domain = host.split("."), dns_domain.split(".")
    shared = 0
    while shared < min(len(labels), len(domain)) and labels[-1 - shared] == domain[-1 - shared]:
        shared += 1
    if not shared:
        return ()
    unique = labels[: len(labels) - shared]
    name = ".".join(unique)
    return (name, f"{name}.{labels[-shared]}") if len(unique) == 2 else (name,)
