"""The generic translation between plan messages and Envoy's JSON."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.envoy_config.codec import UnknownField, decode, decode_duration, encode, encode_duration
from sandbox.plan.base import DataSource, FractionalPercent, Metadata, Pipe, SocketAddress, StringMatcher
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.cluster import Cluster, Endpoint, HttpProtocolOptions
from sandbox.plan.listener import Filter, FilterChain, Listener, TcpProxy
from sandbox.plan.route import DirectResponseAction, RedirectAction, Route, RouteAction, RouteMatch


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(Cluster(name="a"), {"name": "a"}, id="fields at their zero are absent"),
        pytest.param(
            Listener(bind_to_port=False), {"bind_to_port": False}, id="a wrapper that holds false is said aloud"
        ),
        pytest.param(
            Listener(continue_on_listener_filters_timeout=False), {}, id="a plain bool that holds false is absent"
        ),
        pytest.param(
            Cluster(connect_timeout=timedelta(0)), {"connect_timeout": "0s"}, id="a duration of zero is there"
        ),
        pytest.param(
            Endpoint(address=SocketAddress(address="10.0.0.1", port_value=80)),
            {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}},
            id="an address stands under its member's key",
        ),
        pytest.param(
            Listener(address=Pipe(path="/a.sock")), {"address": {"pipe": {"path": "/a.sock"}}}, id="a pipe address"
        ),
        pytest.param(
            Route(match=RouteMatch(prefix="/"), action=DirectResponseAction(status=502)),
            {"match": {"prefix": "/"}, "direct_response": {"status": 502}},
            id="a route's action stands beside its other fields",
        ),
        pytest.param(
            Filter(name="tcp", typed_config=TcpProxy(cluster="x")),
            {
                "name": "tcp",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "cluster": "x",
                },
            },
            id="an extension carries its type",
        ),
        pytest.param(DataSource(inline_bytes=b"\x00\x01"), {"inline_bytes": "AAE="}, id="bytes are base64"),
        pytest.param(FractionalPercent(numerator=5), {"numerator": 5}, id="the enum's zero word is absent"),
        pytest.param(
            Metadata(filter_metadata={"istio": {"external": True}}),
            {"filter_metadata": {"istio": {"external": True}}},
            id="free structures pass",
        ),
    ],
)
def test_message_in_json(message: object, expected: dict[str, object]) -> None:
    encoded = encode(message)

    assert encoded == expected
    assert decode(type(message), encoded) == message


def test_provenance_is_not_exported() -> None:
    chain = FilterChain(name="x", because=(Because("reason", IstioDefault("a rule")),))

    assert encode(chain) == {"name": "x"}


@pytest.mark.parametrize(
    ("action", "key"),
    [
        pytest.param(RouteAction(cluster="c"), "route", id="forward"),
        pytest.param(RedirectAction(host_redirect="h"), "redirect", id="redirect"),
        pytest.param(DirectResponseAction(status=404), "direct_response", id="direct response"),
    ],
)
def test_each_action_has_its_key(action: RouteAction | RedirectAction | DirectResponseAction, key: str) -> None:
    encoded = encode(Route(action=action))

    assert list(encoded) == [key]
    assert decode(Route, encoded).action == action


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        pytest.param(timedelta(0), "0s", id="zero"),
        pytest.param(timedelta(seconds=10), "10s", id="whole seconds"),
        pytest.param(timedelta(milliseconds=1500), "1.500s", id="three decimals"),
        pytest.param(timedelta(microseconds=25), "0.000025s", id="six decimals"),
        pytest.param(timedelta(seconds=-2), "-2s", id="negative"),
    ],
)
def test_a_duration_is_written_as_protobuf_does(duration: timedelta, text: str) -> None:
    assert encode_duration(duration) == text
    assert decode_duration(text) == duration


def test_unknown_field_is_refused_unless_ignored() -> None:
    data = {"name": "c", "alt_stat_name": "x"}

    with pytest.raises(UnknownField, match="Cluster has no field alt_stat_name"):
        decode(Cluster, data)
    assert decode(Cluster, data, ignore_unknown=True) == Cluster(name="c")


def test_unknown_extension_is_refused_unless_ignored() -> None:
    data = {"name": "f", "typed_config": {"@type": "type.googleapis.com/some.Other"}}

    with pytest.raises(UnknownField, match=r"no extension some\.Other"):
        decode(Filter, data)
    assert decode(Filter, data, ignore_unknown=True) == Filter(name="f")


def test_extensions_in_a_map_keep_their_types() -> None:
    cluster = Cluster(typed_extension_protocol_options={"http": HttpProtocolOptions()})

    decoded = decode(Cluster, encode(cluster))

    assert decoded == cluster


def test_exactly_one_pattern_of_a_string_matcher_is_written() -> None:
    assert encode(StringMatcher(prefix="", ignore_case=True)) == {"prefix": "", "ignore_case": True}
