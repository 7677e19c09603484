"""DNS caches of hosts that are resolved as requests name them (Istio networkfilter.go, filters.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.compiler.names import dns_cache_name
from sandbox.compiler.services import Resolution
from sandbox.plan.base import SocketAddress, TypedExtensionConfig
from sandbox.plan.listener import CaresDnsResolverConfig, DnsCacheConfig

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service

ALLOW_ANY_CACHE: Final = "allow_any_dfp_dns_cache"
_DEFAULT_MAX_HOSTS: Final = 1024
_DNS_PROXY: Final = ("127.0.0.1", 15053)


def is_dynamic_wildcard(service: Service | None) -> bool:
    """Whether the service's real name is only known from each request."""
    return service is not None and service.is_wildcard and service.resolution is Resolution.DYNAMIC_DNS


def lookup_family(push: PushContext, proxy: Proxy) -> str:
    """Which addresses are looked up, by the proxy's own (``SelectDNSLookupFamily``)."""
    if proxy.supports_ipv6 and not proxy.supports_ipv4:
        return "V6_ONLY"
    return "ALL" if proxy.supports_ipv6 and push.features.dual_stack else "V4_ONLY"


def service_cache(push: PushContext, proxy: Proxy, service: Service) -> DnsCacheConfig:
    """The cache of one wildcard host; filter and cluster name it alike."""
    return DnsCacheConfig(name=dns_cache_name(service.host), dns_lookup_family=lookup_family(push, proxy))


def allow_any_cache(push: PushContext, proxy: Proxy) -> DnsCacheConfig:
    """The cache of ALLOW_ANY_DYNAMIC_DNS; with DNS capture it asks the agent."""
    resolver = None
    if proxy.metadata.dns_capture:
        address, port = _dns_proxy(proxy.metadata.raw.get("DNS_PROXY_ADDR", ""))
        config = CaresDnsResolverConfig(resolvers=(SocketAddress(address=address, port_value=port),))
        resolver = TypedExtensionConfig(name="envoy.network.dns_resolver.cares", typed_config=config)
    return DnsCacheConfig(
        name=ALLOW_ANY_CACHE,
        dns_lookup_family=lookup_family(push, proxy),
        max_hosts=_max_hosts(push),
        typed_dns_resolver_config=resolver,
    )


def _max_hosts(push: PushContext) -> int:
    text = push.configuration.pilot_env.get("PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS", "")
    return int(text) if text.isdigit() else _DEFAULT_MAX_HOSTS


def _dns_proxy(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        return _DNS_PROXY
    return (_DNS_PROXY[0] if host == "localhost" else host.strip("[]")), int(port)
