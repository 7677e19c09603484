"""The indexed tables of the data plane choose what the plain rules choose, on random plans."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.match import reference
from sandbox.match.facts import ConnectionFacts, RequestFacts
from sandbox.match.filter_chain_table import FilterChainTable
from sandbox.match.listener_table import ListenerTable
from sandbox.match.route_table import RouteTable
from sandbox.match.virtual_host_table import VirtualHostTable
from sandbox.plan.base import CidrRange, HeaderMatcher, RegexMatcher, SocketAddress, StringMatcher
from sandbox.plan.listener import FilterChain, FilterChainMatch, Listener
from sandbox.plan.rbac import MetadataMatcher
from sandbox.plan.route import QueryParameterMatcher, Route, RouteConfiguration, RouteMatch, VirtualHost

many = settings(max_examples=300, deadline=None)

LABELS = st.sampled_from(["a", "b", "com"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
PORTS = st.sampled_from([80, 443])
IPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.1.0.1", "2001:db8::1", "::1"])
PREFIXES = st.sampled_from(
    [("10.0.0.0", 8), ("10.0.0.0", 24), ("10.0.0.1", 32), ("0.0.0.0", 0), ("::", 0), ("2001:db8::", 32)]
).map(lambda pair: CidrRange(address_prefix=pair[0], prefix_len=pair[1]))
PROTOCOLS = st.sampled_from(["http/1.1", "http/1.0", "h2c", "h2", "istio"])
SERVER_NAMES = st.one_of(NAMES, NAMES.map(lambda name: f"*.{name}"))

CHAIN_MATCHES = st.one_of(
    st.none(),
    st.builds(
        FilterChainMatch,
        destination_port=st.one_of(st.none(), PORTS),
        prefix_ranges=st.lists(PREFIXES, max_size=2).map(tuple),
        server_names=st.lists(SERVER_NAMES, max_size=2).map(tuple),
        transport_protocol=st.sampled_from(["", "", "tls", "raw_buffer"]),
        application_protocols=st.lists(PROTOCOLS, max_size=2).map(tuple),
    ),
)
LISTENERS = st.builds(
    Listener,
    filter_chains=st.lists(CHAIN_MATCHES, max_size=6).map(
        lambda matches: tuple(
            FilterChain(name=str(index), filter_chain_match=match) for index, match in enumerate(matches)
        )
    ),
    default_filter_chain=st.one_of(st.none(), st.just(FilterChain(name="default"))),
)
CONNECTIONS = st.builds(
    ConnectionFacts,
    destination_ip=IPS,
    destination_port=PORTS,
    transport_protocol=st.sampled_from(["raw_buffer", "tls"]),
    server_name=st.one_of(st.just(""), NAMES, st.sampled_from([".a.b", "a.b.", "x.a.b.com"])),
    application_protocols=st.lists(PROTOCOLS, max_size=2).map(tuple),
)


@many
@given(LISTENERS, CONNECTIONS)
def test_filter_chain_table_agrees_with_the_plain_sieve(listener: Listener, facts: ConnectionFacts) -> None:
    assert FilterChainTable(listener).find(facts) is reference.choose_filter_chain(listener, facts).chosen


ADDRESSES = st.tuples(st.one_of(IPS, st.sampled_from(["0.0.0.0", "::"])), PORTS).map(
    lambda pair: SocketAddress(address=pair[0], port_value=pair[1])
)


@many
@given(st.lists(st.builds(Listener, address=ADDRESSES, use_original_dst=st.booleans()), max_size=6), IPS, PORTS)
def test_listener_table_agrees_with_the_plain_order(listeners: list[Listener], ip: str, port: int) -> None:
    assert ListenerTable(listeners).find(ip, port) is reference.choose_listener(listeners, ip, port).chosen


DOMAINS = st.one_of(
    NAMES,
    NAMES.map(str.upper),
    NAMES.map(lambda name: f"{name}:80"),
    NAMES.map(lambda name: f"*.{name}"),
    NAMES.map(lambda name: f"*-{name}"),
    NAMES.map(lambda name: f"{name}.*"),
    st.just("*"),
)
CONFIGURATIONS = st.builds(
    RouteConfiguration,
    virtual_hosts=st.lists(st.lists(DOMAINS, min_size=1, max_size=3).map(tuple), max_size=6).map(
        lambda hosts: tuple(VirtualHost(name=str(index), domains=domains) for index, domains in enumerate(hosts))
    ),
    ignore_port_in_host_matching=st.booleans(),
)
AUTHORITIES = st.one_of(
    NAMES,
    NAMES.map(str.title),
    NAMES.map(lambda name: f"{name}:80"),
    NAMES.map(lambda name: f"x-{name}"),
    st.sampled_from(["", "[::1]:80", "[::1]", "a:", ":"]),
).map(str.encode)


@many
@given(CONFIGURATIONS, st.lists(AUTHORITIES, min_size=1, max_size=3))
def test_virtual_host_table_agrees_with_the_plain_ranking(
    configuration: RouteConfiguration, authorities: list[bytes]
) -> None:
    table = VirtualHostTable(configuration)
    for authority in [*authorities, *authorities]:  # the second round is answered from memory
        assert table.find(authority) is reference.choose_virtual_host(configuration, authority).chosen


TEXTS = st.sampled_from(["", "/", "/a", "/a/b", "/ab", "/A", "a", "a,b"])
MATCHERS = st.builds(
    lambda kind, text, ignore_case: StringMatcher(**{kind: text}, ignore_case=ignore_case),
    st.sampled_from(["exact", "prefix", "suffix", "contains"]),
    TEXTS,
    st.booleans(),
) | st.sampled_from(["/a.*", "a|b", "[ab]+", ".*"]).map(
    lambda pattern: StringMatcher(safe_regex=RegexMatcher(regex=pattern))
)
HEADER_MATCHERS = st.builds(
    HeaderMatcher,
    name=st.sampled_from(["X-A", ":method", ":authority", ":scheme", "host", ":path"]),
    string_match=st.one_of(st.none(), MATCHERS),
    present_match=st.sampled_from([None, True, False]),
    invert_match=st.booleans(),
    treat_missing_header_as_empty=st.booleans(),
)
QUERY_MATCHERS = st.builds(
    QueryParameterMatcher,
    name=st.sampled_from(["q", "r"]),
    string_match=st.one_of(st.none(), MATCHERS),
    present_match=st.sampled_from([None, None, True, False]),
)


def _route_match(kind: str, text: str, rest: dict[str, Any]) -> RouteMatch:
    given: dict[str, Any] = {kind: RegexMatcher(regex=text + ".*") if kind == "safe_regex" else text}
    return RouteMatch(**given, **rest)


ROUTE_MATCHES = st.builds(
    _route_match,
    st.sampled_from(["prefix", "path", "path_separated_prefix", "safe_regex"]),
    TEXTS,
    st.fixed_dictionaries(
        {
            "case_sensitive": st.sampled_from([None, True, False]),
            "headers": st.lists(HEADER_MATCHERS, max_size=2).map(tuple),
            "query_parameters": st.lists(QUERY_MATCHERS, max_size=2).map(tuple),
            "dynamic_metadata": st.sampled_from([(), (), (), (MetadataMatcher(),), (MetadataMatcher(invert=True),)]),
        }
    ),
)
VIRTUAL_HOSTS = st.lists(ROUTE_MATCHES, max_size=4).map(
    lambda matches: VirtualHost(routes=tuple(Route(name=str(index), match=m) for index, m in enumerate(matches)))
)
REQUESTS = st.builds(
    RequestFacts,
    st.sampled_from([b"GET", b"a", b"CONNECT"]),
    st.sampled_from([None, b"/", b"/a", b"/a/b?q=a", b"/A?q=/a&q=b&r", b"/ab#x?q=1", b"*", b"/a?"]),
    st.sampled_from([None, b"a", b"a:80"]),
    st.sampled_from([b"http", b"https"]),
    st.lists(st.sampled_from([(b"x-a", b"a"), (b"x-a", b"b"), (b"x-b", b"a"), (b"x-a", b"")]), max_size=3),
)


MANY_ROUTES = st.lists(ROUTE_MATCHES, min_size=13, max_size=40).map(
    lambda matches: VirtualHost(routes=tuple(Route(name=str(index), match=m) for index, m in enumerate(matches)))
)


@many
@given(VIRTUAL_HOSTS | MANY_ROUTES, REQUESTS)
def test_route_table_agrees_with_the_plain_order(virtual_host: VirtualHost, facts: RequestFacts) -> None:
    assert RouteTable(virtual_host).find(facts) is reference.choose_route(virtual_host, facts).chosen
