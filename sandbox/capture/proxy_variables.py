"""The way in for systems without capture: variables that make many programs use the explicit proxy."""

from __future__ import annotations

NOT_CAPTURED = (
    "egress: not captured: only variables are set (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY to {proxy}).\n"
    "  DNS, TCP other than HTTP, and programs that do not heed the variables go past the sandbox."
)


def with_proxy(environment: dict[bytes, bytes], proxy: str) -> dict[bytes, bytes]:
    """The environment with the variables in both cases, and what Java and newer Node want besides."""
    url = f"http://{proxy}".encode()
    found = dict(environment)
    for name in (b"HTTP_PROXY", b"HTTPS_PROXY", b"ALL_PROXY"):
        found[name] = found[name.lower()] = url
    for name in (b"NO_PROXY", b"no_proxy"):
        found.setdefault(name, b"localhost,127.0.0.1,::1")
    host, _, port = proxy.rpartition(":")
    java = " ".join(f"-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}" for scheme in ("http", "https"))
    found[b"JAVA_TOOL_OPTIONS"] = b" ".join([*filter(None, [found.get(b"JAVA_TOOL_OPTIONS")]), java.encode()])
    found[b"NODE_USE_ENV_PROXY"] = b"1"
    return found
