"""Failed handshakes in BoringSSL's words; every expected text was logged by Envoy 1.39.3."""

from __future__ import annotations

import ssl

import pytest

from sandbox.proxy.tls_failure import HttpAnswer, LateRefusal, VerifyFailure, failure_of_handshake

ALERT = b"\x15\x03\x03\x00\x02\x02"
HELLO = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + b"r" * 32 + b"\0"
"""A ServerHello of TLS 1.2 up to its cipher and compression."""


def error_of_answer(answer: bytes) -> Exception:
    """What OpenSSL makes of a server that answers a ClientHello like this, and leaves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming = ssl.MemoryBIO()
    session = context.wrap_bio(incoming, ssl.MemoryBIO())
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    incoming.write(answer)
    incoming.write_eof()
    with pytest.raises(ssl.SSLError) as caught:
        session.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(
            ALERT + b"\x28",
            "268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE"
            "|268435610:SSL routines:OPENSSL_internal:HANDSHAKE_FAILURE_ON_CLIENT_HELLO",
            id="handshake_failure",
        ),
        pytest.param(ALERT + b"\x2a", "268436498:SSL routines:OPENSSL_internal:SSLV3_ALERT_BAD_CERTIFICATE", id="bad"),
        pytest.param(
            ALERT + b"\x30", "268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA", id="unknown_ca"
        ),
        pytest.param(
            ALERT + b"\x46", "268436526:SSL routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION", id="version"
        ),
        pytest.param(ALERT + b"\x6d", "268436565:SSL routines:OPENSSL_internal:unknown error", id="missing_extension"),
        pytest.param(
            ALERT + b"\x78",
            "268436576:SSL routines:OPENSSL_internal:TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
            id="no_application_protocol",
        ),
        pytest.param(ALERT + b"\x00", "268436456:SSL routines:OPENSSL_internal:SSLV3_ALERT_CLOSE_NOTIFY", id="close"),
        pytest.param(b"HTTP/1.1 400\r\n", "268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER", id="HTTP"),
        pytest.param(
            HELLO + b"\xff\xff\0",
            "268435698:SSL routines:OPENSSL_internal:WRONG_CIPHER_RETURNED",
            id="a cipher that does not exist",
        ),
        pytest.param(
            HELLO + b"\xc0\x2f\1",
            "268435694:SSL routines:OPENSSL_internal:UNSUPPORTED_COMPRESSION_ALGORITHM",
            id="compression",
        ),
        pytest.param(
            b"\x15\x03\x03\x00\x02\x05\x28",
            "268435683:SSL routines:OPENSSL_internal:UNKNOWN_ALERT_TYPE",
            id="an alert of no level",
        ),
        pytest.param(
            b"\x16\x03\x03\x00\x00" * 40,
            "268435675:SSL routines:OPENSSL_internal:TOO_MANY_EMPTY_FRAGMENTS",
            id="empty records",
        ),
        pytest.param(b"SSH-2.0-x\r\n", "268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER", id="SSH"),
        pytest.param(
            b"\x16\x03\x03\xff\xff" + b"x" * 99,
            "268435602:SSL routines:OPENSSL_internal:ENCRYPTED_LENGTH_TOO_LONG",
            id="a record that is too long",
        ),
        pytest.param(
            b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
            "268435593:SSL routines:OPENSSL_internal:DECODE_ERROR",
            id="an empty server hello",
        ),
    ],
)
def test_answer_that_is_no_handshake(answer: bytes, reason: str) -> None:
    failure = failure_of_handshake(error_of_answer(answer))

    assert failure.transport_failure_reason == f"TLS_error:|{reason}:TLS_error_end".replace(" ", "_")


@pytest.mark.parametrize(
    ("openssl", "boringssl"),
    [
        pytest.param("self-signed certificate", "self_signed_certificate", id="self-signed"),
        pytest.param("unsuitable certificate purpose", "unsupported_certificate_purpose", id="a client's certificate"),
    ],
)
def test_what_is_wrong_with_a_certificate(openssl: str, boringssl: str) -> None:
    error = ssl.SSLCertVerificationError(1, "")
    error.verify_code, error.verify_message = 18, openssl

    reason = failure_of_handshake(error).transport_failure_reason

    assert reason is not None
    assert reason.endswith(f":_X509_verify_cert:_certificate_verification_error_at_depth_0:_{boringssl}:TLS_error_end")


def test_an_altered_record_is_an_error_of_the_cipher_first() -> None:
    error = ssl.SSLError(1, "")
    error.reason = "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"

    assert failure_of_handshake(error).transport_failure_reason == (
        "TLS_error:|503316581:Cipher_functions:OPENSSL_internal:BAD_DECRYPT"
        "|268435595:SSL_routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC:TLS_error_end"
    )


def test_a_server_that_speaks_http_first_has_no_tls_version() -> None:
    assert failure_of_handshake(HttpAnswer()).transport_failure_reason == (
        "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
    )


def test_end_of_the_stream_has_no_reason() -> None:
    assert failure_of_handshake(error_of_answer(b"")).transport_failure_reason is None


def test_refusal_after_the_servers_hello_stands_alone() -> None:
    reason = failure_of_handshake(LateRefusal(1, "")).transport_failure_reason

    assert reason == "TLS_error:|268436496:SSL_routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end"


def test_own_refusal_tells_why() -> None:
    reason = failure_of_handshake(VerifyFailure("SAN matcher, certificate SANs are [a.example]"))

    assert reason.transport_failure_reason == (
        "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:"
        "_SAN_matcher,_certificate_SANs_are_[a.example]:TLS_error_end"
    )
