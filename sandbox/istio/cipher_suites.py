"""TLS cipher suites as BoringSSL names them (Istio pkg/config/security/security.go)."""

from __future__ import annotations

VALID_CIPHER_SUITES = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)


def is_valid_cipher_suite(suite: str) -> bool:
    """Whether Istio lets the suite pass; expressions of OpenSSL's list syntax (``!X``, ``-X``) are not looked into."""
    return suite in ("", "ALL") or not suite[0].isalnum() or suite in VALID_CIPHER_SUITES


def valid_cipher_suites(suites: tuple[str, ...]) -> tuple[str, ...]:
    """The suites that BoringSSL knows, each once."""
    return tuple(dict.fromkeys(suite for suite in suites if is_valid_cipher_suite(suite)))
