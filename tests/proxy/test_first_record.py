"""What the log says of first bytes that no filter chain takes; each as Envoy 1.39.3 said it."""

from __future__ import annotations

import pytest

from sandbox.plan.listener import FilterChain, FilterChainMatch, Listener, ListenerFilter, TlsInspector
from sandbox.proxy.first_record import LOOKED_AT, failure_of_first_bytes
from tests.proxy.proxy_world import address, on_a_loop, serving


@pytest.mark.parametrize(
    ("data", "number", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", "1000009c", "HTTP_REQUEST", id="HTTP"),
        pytest.param(b"DELETE / HTTP/1.1\r\n", "100000f7", "WRONG_VERSION_NUMBER", id="a method nobody expects"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\n", "1000009b", "HTTPS_PROXY_REQUEST", id="CONNECT"),
        pytest.param(b"SSH-2.0-x\r\n", "100000f7", "WRONG_VERSION_NUMBER", id="SSH"),
        pytest.param(bytes.fromhex("16020100050100000100"), "100000f7", "WRONG_VERSION_NUMBER", id="another version"),
        pytest.param(bytes.fromhex("15030100020228"), "10000410", "SSLV3_ALERT_HANDSHAKE_FAILURE", id="an alert"),
        pytest.param(bytes.fromhex("170303000568656c6c6f"), "100000e1", "UNEXPECTED_RECORD", id="application data"),
        pytest.param(bytes.fromhex("160301ffff0100"), "10000092", "ENCRYPTED_LENGTH_TOO_LONG", id="a huge record"),
        pytest.param(bytes.fromhex("160301000502000001000000"), "100000df", "UNEXPECTED_MESSAGE", id="a ServerHello"),
        pytest.param(
            bytes.fromhex("16030100080100000403030000"), "10000083", "CLIENTHELLO_PARSE_FAILED", id="a broken hello"
        ),
    ],
)
def test_first_bytes_that_are_no_tls_have_boringssls_reason(data: bytes, number: str, reason: str) -> None:
    said = f"TLS_error|error:{number}:SSL_routines:OPENSSL_internal:{reason}:TLS_error_end"
    assert failure_of_first_bytes(data) == said
    assert failure_of_first_bytes(data[:LOOKED_AT]) == said


def test_an_alert_whose_end_has_not_come_yet_is_a_record_that_nobody_expects() -> None:
    assert "UNEXPECTED_RECORD" in failure_of_first_bytes(bytes.fromhex("150303000202"))


@on_a_loop
async def test_a_connection_without_a_chain_is_logged_with_the_reason() -> None:
    chain = FilterChain(filter_chain_match=FilterChainMatch(server_names=("a.example.com",)))
    inspector = ListenerFilter(name="tls", typed_config=TlsInspector())
    listener = Listener(name="tls", address=address(0), filter_chains=(chain,), listener_filters=(inspector,))
    async with serving((listener,)) as world:
        client = await world.client()
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        info = await world.ended.get()
        assert info.response_flags == ["NR"]
        assert "HTTP_REQUEST" in (info.downstream_transport_failure_reason or "")
