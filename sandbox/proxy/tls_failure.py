"""OpenSSL's words for a failed handshake, told in Envoy's (BoringSSL's) words for the access log."""

from __future__ import annotations

import re
import ssl
from typing import Final

from sandbox.proxy.failure import FailureKind, UpstreamFailure

LIBRARY: Final = 16 << 24
"""BoringSSL's number of the SSL library, in the upper byte of an error."""
VERIFY_FAILED: Final = 125
PROTOCOL_VERSION: Final = b"\x15\x03\x01\x00\x02\x02\x46"
"""The alert to a server that answers a ClientHello with something else than TLS."""
SYSTEM_LIBRARY_RESET: Final = "33554536:system library:OPENSSL_internal:Connection reset by peer"

ALERTS: Final = {
    "SSLV3_ALERT_CLOSE_NOTIFY": 1000,
    "SSLV3_ALERT_UNEXPECTED_MESSAGE": 1010,
    "SSLV3_ALERT_BAD_RECORD_MAC": 1020,
    "TLSV1_ALERT_DECRYPTION_FAILED": 1021,
    "TLSV1_ALERT_RECORD_OVERFLOW": 1022,
    "SSLV3_ALERT_DECOMPRESSION_FAILURE": 1030,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": 1040,
    "SSLV3_ALERT_NO_CERTIFICATE": 1041,
    "SSLV3_ALERT_BAD_CERTIFICATE": 1042,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": 1043,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": 1044,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": 1045,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": 1046,
    "SSLV3_ALERT_ILLEGAL_PARAMETER": 1047,
    "TLSV1_ALERT_UNKNOWN_CA": 1048,
    "TLSV1_ALERT_ACCESS_DENIED": 1049,
    "TLSV1_ALERT_DECODE_ERROR": 1050,
    "TLSV1_ALERT_DECRYPT_ERROR": 1051,
    "TLSV1_ALERT_EXPORT_RESTRICTION": 1060,
    "TLSV1_ALERT_PROTOCOL_VERSION": 1070,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": 1071,
    "TLSV1_ALERT_INTERNAL_ERROR": 1080,
    "TLSV1_ALERT_INAPPROPRIATE_FALLBACK": 1086,
    "TLSV1_ALERT_USER_CANCELLED": 1090,
    "TLSV1_ALERT_NO_RENEGOTIATION": 1100,
    "unknown error": 1109,
    "TLSV1_ALERT_UNSUPPORTED_EXTENSION": 1110,
    "TLSV1_ALERT_CERTIFICATE_UNOBTAINABLE": 1111,
    "TLSV1_ALERT_UNRECOGNIZED_NAME": 1112,
    "TLSV1_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE": 1113,
    "TLSV1_ALERT_BAD_CERTIFICATE_HASH_VALUE": 1114,
    "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY": 1115,
    "TLSV1_ALERT_CERTIFICATE_REQUIRED": 1116,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": 1120,
}
"""BoringSSL's reasons for alerts that the peer sent (1000 and the alert's number)."""
REASONS: Final = {
    **ALERTS,
    "BAD_ALERT": 102,
    "BAD_SIGNATURE": 114,
    "CCS_RECEIVED_EARLY": 124,
    "CERTIFICATE_VERIFY_FAILED": VERIFY_FAILED,
    "DECODE_ERROR": 137,
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": 139,
    "DH_P_TOO_LONG": 141,
    "ENCRYPTED_LENGTH_TOO_LONG": 146,
    "EXCESSIVE_MESSAGE_SIZE": 150,
    "HANDSHAKE_FAILURE_ON_CLIENT_HELLO": 154,
    "TOO_MANY_EMPTY_FRAGMENTS": 219,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": 192,
    "UNEXPECTED_MESSAGE": 223,
    "UNEXPECTED_RECORD": 225,
    "UNKNOWN_ALERT_TYPE": 227,
    "UNSUPPORTED_COMPRESSION_ALGORITHM": 238,
    "UNSUPPORTED_PROTOCOL": 240,
    "WRONG_CIPHER_RETURNED": 242,
    "WRONG_SIGNATURE_TYPE": 245,
    "WRONG_VERSION_NUMBER": 247,
}
"""BoringSSL's numbers (include/openssl/ssl.h)."""
HANDSHAKE_FAILURE: Final = "SSLV3_ALERT_HANDSHAKE_FAILURE"
SELF_SIGNED_IN_CHAIN, NO_ISSUER_OF_ISSUER = 19, 2
"""OpenSSL's verify codes for faults above the leaf."""
OPENSSL_NAMES: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "TLSV1_ALERT_CERTIFICATE_REQUIRED",
    "TLSV1_UNRECOGNIZED_NAME": "TLSV1_ALERT_UNRECOGNIZED_NAME",
    "TLSV1_UNSUPPORTED_EXTENSION": "TLSV1_ALERT_UNSUPPORTED_EXTENSION",
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE": "TLSV1_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE",
    "TLSV13_ALERT_MISSING_EXTENSION": "unknown error",
    "UNKNOWN_ERROR": "SSLV3_ALERT_CLOSE_NOTIFY",
    "COMPRESSION_DISABLED": "UNSUPPORTED_COMPRESSION_ALGORITHM",
    "INVALID_ALERT": "BAD_ALERT",
    "LENGTH_MISMATCH": "DECODE_ERROR",
    "PACKET_LENGTH_TOO_LONG": "ENCRYPTED_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE": "WRONG_VERSION_NUMBER",
    "RECORD_TOO_SMALL": "TOO_MANY_EMPTY_FRAGMENTS",
    "UNKNOWN_CIPHER_RETURNED": "WRONG_CIPHER_RETURNED",
}
"""OpenSSL's reasons that BoringSSL calls otherwise (a fatal close_notify is no alert that OpenSSL knows)."""
BEFORE: Final = {
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "503316581:Cipher functions:OPENSSL_internal:BAD_DECRYPT|",
}
"""Errors of BoringSSL's other libraries in front."""
DETAILS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ":peer did not provide required client certificate",
}
"""What Envoy adds."""
NOT_YET_VALID: Final = (9, 11)
"""OpenSSL's verify codes of a certificate, and of a revocation list, whose time has not come."""
HTTP_REASONS: Final = ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST")
"""OpenSSL's reasons where first bytes are HTTP's; BoringSSL looks for that in servers only."""
VERIFY_MESSAGES: Final = {
    "self-signed certificate": "self signed certificate",
    "self-signed certificate in certificate chain": "self signed certificate in certificate chain",
    "unsuitable certificate purpose": "unsupported certificate purpose",
}


class VerifyFailure(ssl.SSLError):
    """A certificate that we refuse ourselves; the text is Envoy's, without its frame, ``unsent`` the alert."""

    unsent: bytes = b""

    def __init__(self, text: str) -> None:
        super().__init__(1, text)
        self.text = text


class LateRefusal(ssl.SSLError):
    """The alert handshake_failure after the server's hello: it is not the client's hello that was refused."""


class HttpAnswer(ssl.SSLError):
    """A server speaks HTTP in place of TLS."""

    unsent = PROTOCOL_VERSION


def failure_of_handshake(error: Exception) -> UpstreamFailure:
    """The failure that a broken handshake is in the log."""
    return UpstreamFailure.because(FailureKind.REMOTE_CONNECTION_FAILURE, _reason(error))


def _reason(error: Exception) -> str | None:
    """Envoy's text; ``None`` where it has none (the peer closed during the handshake)."""
    match error:
        case VerifyFailure():
            return _frame(VERIFY_FAILED, "CERTIFICATE_VERIFY_FAILED", f":verify cert failed: {error.text}")
        case ssl.SSLCertVerificationError():
            message = VERIFY_MESSAGES.get(error.verify_message, error.verify_message)
            depth = 1 if error.verify_code in (SELF_SIGNED_IN_CHAIN, NO_ISSUER_OF_ISSUER) else 0
            text = f"X509_verify_cert: certificate verification error at depth {depth}: {message}"
            return _frame(VERIFY_FAILED, "CERTIFICATE_VERIFY_FAILED", f":verify cert failed: {text}")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return None
        case HttpAnswer():
            return _frame(REASONS["WRONG_VERSION_NUMBER"], "WRONG_VERSION_NUMBER")
        case LateRefusal():
            return _frame(REASONS[HANDSHAKE_FAILURE], HANDSHAKE_FAILURE)
        case ssl.SSLError():
            name = error.reason or _reason_in(str(error)) or "UNKNOWN"
            name = OPENSSL_NAMES.get(name, name)
            if name == HANDSHAKE_FAILURE:  # BoringSSL puts a second error behind this alert
                return _frame(REASONS[name], name, f"|{LIBRARY + 154}:{_PLACE}:HANDSHAKE_FAILURE_ON_CLIENT_HELLO")
            return _frame(REASONS.get(name, 0), name, DETAILS.get(name, ""))
        case ConnectionResetError() if not isinstance(error, ConnectionAbortedError) and error.errno is not None:
            return f"TLS_error:|{SYSTEM_LIBRARY_RESET}:TLS_error_end"
    return None


def _frame(reason: int, name: str, detail: str = "") -> str:
    return f"TLS_error:|{BEFORE.get(name, '')}{LIBRARY + reason}:{_PLACE}:{name}{detail}:TLS_error_end"


_PLACE: Final = "SSL routines:OPENSSL_internal"


def _reason_in(text: str) -> str | None:
    """OpenSSL's words where Python knows no name for them: ``[SSL] tlsv1 alert no application protocol (_ssl.c:1)``."""
    found = re.search(r"\[SSL(?:: ([A-Z0-9_]+))?\] ?([a-z0-9 ]*)", text)
    if found is None:
        return None
    return found[1] or found[2].strip().upper().replace(" ", "_") or None
