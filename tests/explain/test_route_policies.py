"""Explain tells all that a route does besides choosing a cluster."""

from __future__ import annotations

import pytest

from .one_host import entry, policy, routes, to, walked

BEFORE = "no timeout, 2 retries on connect-failure, refused-stream, unavailable, cancelled, "
CHANGES = "headers: {request: {set: {x-a: b}, add: {x-b: c}, remove: [cookie]}, response: {remove: [server]}}"
ORIGINS = "corsPolicy: {allowOrigins: [{exact: 'https://a.example'}, {prefix: 'https://b.'}], allowMethods: [GET]}"
ROWS = {
    "headers": (CHANGES, "request header x-a set, x-b added, cookie removed, response header server removed"),
    "a rewrite": ("rewrite: {uri: /v2, authority: b.example}", "host becomes b.example, path prefix becomes /v2"),
    "CORS": (ORIGINS, "CORS for https://a.example, https://b.*"),
}


@pytest.mark.parametrize(("written", "told"), ROWS.values(), ids=list(ROWS))
def test_what_a_route_changes(written: str, told: str) -> None:
    step = walked("http://api.example.com/", entry(), routes(f"{{{written}, route: [{to()}]}}")).step("policy")

    assert step is not None
    assert step.found.removeprefix(BEFORE) == told


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("httpHeaderName: x-user", "header x-user"),
        ("httpQueryParameterName: user", "query parameter user"),
        ("httpCookie: {name: who, ttl: 0s}", "cookie who"),
        ("useSourceIp: true", "the client's address"),
    ],
)
def test_what_is_hashed(key: str, told: str) -> None:
    rule = policy(f"trafficPolicy: {{loadBalancer: {{consistentHash: {{{key}}}}}}}")

    step = walked("http://api.example.com/", entry(), rule).step("policy")

    assert step is not None
    assert step.found.removeprefix(BEFORE) == f"hashed by {told}"


def test_a_post_is_told_to_be_repeated_where_retries_do_not_ask_what_happened() -> None:
    rule = f"{{retries: {{attempts: 1, retryOn: 5xx}}, route: [{to()}]}}"
    configuration = (entry(), routes(rule))

    notes = {
        method: walked("http://api.example.com/", *configuration, method=method).steps[-3].notes
        for method in ("POST", "PUT")
    }

    assert notes == {"POST": ("a POST is sent again, too, also when the server may have acted on it",), "PUT": ()}


LONG = "504 with flag UT if the answer takes longer than"
TIMEOUTS = {
    "of the whole": ("timeout: 3s", [f"{LONG} 3s"]),
    "of each try, which is repeated": (
        "retries: {attempts: 2, perTryTimeout: 1s, retryOn: 5xx}",
        ["a try that takes longer than 1s is repeated; after 3 504 with flags URX,UT"],
    ),
    "of each try, which is not repeated": (
        "retries: {attempts: 2, perTryTimeout: 1s, retryOn: connect-failure}",
        ["504 with flag UT if a try takes longer than 1s"],
    ),
    "of each try, and the whole before it": (
        "timeout: 1s, retries: {attempts: 2, perTryTimeout: 2s, retryOn: 5xx}",
        [f"{LONG} 1s"],
    ),
}


@pytest.mark.parametrize(("written", "told"), TIMEOUTS.values(), ids=list(TIMEOUTS))
def test_what_a_slow_upstream_comes_to(written: str, told: list[str]) -> None:
    outcome = walked("http://api.example.com/", entry(), routes(f"{{{written}, route: [{to()}]}}")).outcome

    assert [note for note in outcome.notes if "takes longer" in note] == told


ASKED = ("access-control-request-method", "GET")
PREFLIGHTS = {
    "of an origin that is allowed": ((("origin", "https://b.example"), ASKED), "allows the origin https://b.example"),
    "of another": ((("origin", "https://c.example"), ASKED), ""),
    "that asks for no method": ((("origin", "https://a.example"),), ""),
}


@pytest.mark.parametrize(("headers", "told"), PREFLIGHTS.values(), ids=list(PREFLIGHTS))
def test_a_preflight_of_an_allowed_origin_is_answered_by_the_proxy(
    headers: tuple[tuple[str, str], ...], told: str
) -> None:
    rules = routes(f"{{{ORIGINS}, route: [{to()}]}}")

    outcome = walked("http://api.example.com/", entry(), rules, method="OPTIONS", headers=headers).outcome

    assert outcome.is_forwarded is not bool(told)
    assert outcome.status == (200 if told else None)
    assert told in outcome.sentence


def test_a_tunnel_and_a_proxy_header_are_told() -> None:
    rule = policy(
        "trafficPolicy: {tunnel: {targetHost: far.example.com, targetPort: 443}, proxyProtocol: {version: V2}}"
    )

    walk = walked("https://api.example.com/", entry(), rule)

    tunnel, cluster = walk.step("tunnel"), walk.step("cluster")
    assert tunnel is not None
    assert tunnel.found == "by CONNECT to far.example.com:443"
    assert cluster is not None
    assert cluster.reason.endswith("a PROXY header V2 first")


def test_when_the_proxy_ends_a_connection_itself() -> None:
    rule = policy("trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s, maxConnectionDuration: 90s}}}")

    notes = walked("https://api.example.com/", entry(), rule).outcome.notes

    assert notes[1:] == ("closed after 5s without bytes", "closed after 90s in any case")
