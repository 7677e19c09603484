"""Reads what we need out of a peer's certificate (DER)."""

from __future__ import annotations

import hashlib
import warnings

import msgspec


class PeerCertificate(msgspec.Struct, frozen=True):
    """Alternative names in their order, subject and issuer as Envoy prints them, Unix seconds, both fingerprints."""

    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    not_before: float
    not_after: float
    sha256: str
    spki_sha256: bytes

    @property
    def names(self) -> tuple[str, ...]:
        """All alternative names."""
        return (*self.dns_names, *self.uris, *self.ip_addresses)


def preload() -> None:
    """Imports what a first handshake takes (an eighth of a second), so that no connection has to wait for it."""
    import cryptography.hazmat.primitives.serialization
    import cryptography.x509  # noqa: F401

    "name".encode("idna")  # the ssl module encodes server names so, and the codec is imported on first use


def read_certificate(der: bytes) -> PeerCertificate:
    """Parses; a certificate without alternative names has empty tuples."""
    with warnings.catch_warnings():
        # Serial number 0 is against RFC 5280, and what ``openssl x509 -set_serial 0`` of many a tutorial makes.
        warnings.simplefilter("ignore")
        return _read(der)


def _read(der: bytes) -> PeerCertificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = x509.load_der_x509_certificate(der)
    dns_names: list[str] = []
    uris: list[str] = []
    addresses: list[str] = []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = names.get_values_for_type(x509.DNSName)
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        pass
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PeerCertificate(
        dns_names=tuple(dns_names),
        uris=tuple(uris),
        ip_addresses=tuple(addresses),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        sha256=hashlib.sha256(der).hexdigest(),
        spki_sha256=hashlib.sha256(spki).digest(),
    )
