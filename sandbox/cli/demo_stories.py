"""The demo's stories: a configuration, the calls made under it, and what they must come to."""

from __future__ import annotations

from dataclasses import dataclass

RESET = 0
"""In place of a status: the connection is closed in the TLS handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, and its expected status and duration (seconds, at least and at most)."""

    url: str
    status: int
    seconds: tuple[float, float] = (0.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is shown under one configuration."""

    title: str
    config: str
    """Within ``configs/``."""
    about: str
    calls: tuple[Call, ...]


STORIES = (
    Story(
        title="ALLOW_ANY: a host that nobody declared is passed through",
        config="allow-any.yaml",
        about="Istio's default. The request leaves by the PassthroughCluster to where it was meant to go.",
        calls=(
            Call(url="http://httpbin.org/get", status=200),
            Call(url="https://www.google.com/", status=200),
        ),
    ),
    Story(
        title="REGISTRY_ONLY: a host that nobody declared is blocked",
        config="registry-only.yaml",
        about="Plain HTTP is answered with 502; TLS is closed before the handshake ends.",
        calls=(
            Call(url="http://httpbin.org/get", status=502),
            Call(url="https://www.google.com/", status=RESET),
        ),
    ),
    Story(
        title="A ServiceEntry opens one host",
        config="open-one-host",
        about="httpbin.org is declared by HTTP and HTTPS; everything else stays blocked.",
        calls=(
            Call(url="http://httpbin.org/headers", status=200),
            Call(url="https://httpbin.org/get", status=200),
            Call(url="http://edition.cnn.com/", status=502),
        ),
    ),
    Story(
        title="A fault: every request waits five seconds",
        config="fault-delay",
        about="The site itself answers at once (301); the sidecar holds the request back.",
        calls=(Call(url="http://www.aliyun.com/", status=301, seconds=(5.0, 5.5)),),
    ),
    Story(
        title="A timeout: three seconds, for an answer that takes five",
        config="timeout",
        about="The sidecar gives up (504, flag UT) while httpbin.org is still waiting.",
        calls=(
            Call(url="http://httpbin.org/delay/5", status=504, seconds=(3.0, 3.5)),
            Call(url="http://httpbin.org/get", status=200),
        ),
    ),
    Story(
        title="Wildcard SNI: all of Wikipedia, and nothing decrypted",
        config="wildcard-sni",
        about="The ClientHello's server name decides; the certificate is Wikipedia's own.",
        calls=(
            Call(url="https://en.wikipedia.org/", status=200),
            Call(url="https://de.wikipedia.org/", status=200),
            Call(url="https://httpbin.org/get", status=RESET),
        ),
    ),
)
FAST = {"fixedDelay: 5s": "fixedDelay: 0.5s", "timeout: 3s": "timeout: 0.3s"}
"""What ``--fast`` writes in place of a duration, in the YAML as in the calls."""
FAST_FACTOR = 10


def faster(call: Call) -> Call:
    """The same call in a tenth of its time."""
    least, most = call.seconds
    if least == 0.0:
        return call
    url = call.url.replace("/delay/5", "/delay/0.5")
    return Call(url=url, status=call.status, seconds=(least / FAST_FACTOR, most / FAST_FACTOR + 0.5))
