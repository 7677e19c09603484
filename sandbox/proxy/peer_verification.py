"""PeerRules: which names and fingerprints a peer's certificate must have, with Envoy's words where it has not."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sandbox.match.string_match import compile_string_matcher
from sandbox.proxy.certificates import PeerCertificate, read_certificate
from sandbox.proxy.tls_failure import VerifyFailure

if TYPE_CHECKING:
    from sandbox.plan.tls import CertificateValidationContext, CommonTlsContext


class PeerRules:
    """The part of a validation context that OpenSSL does not check for us."""

    __slots__ = ("_hashes", "_matchers", "_spki")

    def __init__(self, validation: CertificateValidationContext | None) -> None:
        matchers = validation.match_subject_alt_names if validation else ()
        self._matchers: tuple[Callable[[bytes], bool], ...] = tuple(map(compile_string_matcher, matchers))
        self._hashes = {
            each.replace(":", "").lower() for each in (validation.verify_certificate_hash if validation else ())
        }
        self._spki = {base64.b64decode(each) for each in (validation.verify_certificate_spki if validation else ())}

    @staticmethod
    def of(common: CommonTlsContext) -> PeerRules:
        """The rules of whichever validation context is set."""
        validation = common.validation_context
        if common.combined_validation_context is not None:
            validation = common.combined_validation_context.default_validation_context
        return PeerRules(validation)

    def check(self, der: bytes | None, expected: Sequence[str]) -> None:
        """Raises ``VerifyFailure``; ``expected`` are the names of auto_san_validation."""
        if not der or not (self._matchers or expected or self._hashes or self._spki):
            return
        peer = read_certificate(der)
        listed = ", ".join(peer.names)
        if expected and not any(matches_dns_name(name, peer) for name in expected):
            names = ", ".join(expected)
            raise VerifyFailure(f"verify SAN list, expected SANs: [{names}], certificate SANs: [{listed}]")
        if self._matchers and not self._has_matching_name(peer):
            raise VerifyFailure(f"SAN matcher, certificate SANs are [{listed}]")
        if self._hashes and peer.sha256 not in self._hashes and peer.spki_sha256 not in self._spki:
            raise VerifyFailure("certificate hash")
        if self._spki and not self._hashes and peer.spki_sha256 not in self._spki:
            raise VerifyFailure("certificate SPKI")

    def _has_matching_name(self, peer: PeerCertificate) -> bool:
        return any(matches(name.encode()) for name in peer.names for matches in self._matchers)


def matches_dns_name(wanted: str, peer: PeerCertificate) -> bool:
    """An exact name, a ``*.suffix`` of one label in the certificate, or an equal URI or address."""
    wanted = wanted.lower()
    if wanted in peer.uris or wanted in peer.ip_addresses:
        return True
    parent = wanted.partition(".")[2]
    return any(name.lower() == wanted or (parent and name.lower() == f"*.{parent}") for name in peer.dns_names)
