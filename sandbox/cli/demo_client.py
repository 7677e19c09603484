"""The demo's client: one request through the explicit proxy, as curl -x would make it."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.settings import HostPort

USER_AGENT = "egress-demo"
PATIENCE_SECONDS = 20
SHOWN_HEADERS = ("server", "location", "x-envoy-upstream-service-time", "content-length")
CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, http.client.RemoteDisconnected)
"""What a connection that the proxy closes looks like; which of them is a matter of moments."""
TITLE = re.compile(r"<title>(.*?)</title>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the client saw; ``status`` is 0 where no HTTP answer came."""

    status: int
    lines: tuple[str, ...]
    seconds: float


def request(url: str, proxy: HostPort, authority: Path) -> Reply:
    """Sends a GET and waits for the whole answer."""
    started = time.monotonic()
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    if secure:
        context = ssl.create_default_context(cafile=authority)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            proxy.host, proxy.port, timeout=PATIENCE_SECONDS, context=context
        )
        connection.set_tunnel(host, parts.port or 443)
    else:
        connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=PATIENCE_SECONDS)
    try:
        target = (parts.path or "/") if secure else url
        connection.request("GET", target, headers={"Host": parts.netloc, "User-Agent": USER_AGENT, "Accept": "*/*"})
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        return Reply(status=response.status, lines=(*_head(response), *_gist(body)), seconds=time.monotonic() - started)
    except CLOSED as error:
        how = "reset" if isinstance(error, ConnectionResetError) else "closed"
        told = f"connection {how} {'in the TLS handshake' if secure else 'without an answer'}"
        return Reply(status=0, lines=(told,), seconds=time.monotonic() - started)
    except OSError as error:
        return Reply(status=-1, lines=(f"failed: {error}",), seconds=time.monotonic() - started)
    finally:
        connection.close()


def _head(response: http.client.HTTPResponse) -> tuple[str, ...]:
    shown = [f"{name.lower()}: {value}" for name, value in response.getheaders() if name.lower() in SHOWN_HEADERS]
    return (f"HTTP/1.1 {response.status} {response.reason}", *shown)


def _gist(body: str) -> tuple[str, ...]:
    """A page's title, which tells who answered."""
    title = TITLE.search(body)
    return (f"<title>{title[1]}</title>",) if title else ()
