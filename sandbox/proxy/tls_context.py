"""Plan TLS settings to ``ssl.SSLContext``, both sides; certificates are read again when their files change."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sandbox.proxy.certificates import PeerCertificate, read_certificate
from sandbox.proxy.downstream import TlsFacts
from sandbox.proxy.peer_verification import PeerRules
from sandbox.proxy.tls_alert import BAD_CERTIFICATE, CERTIFICATE_EXPIRED, CERTIFICATE_UNKNOWN
from sandbox.proxy.tls_failure import (
    HANDSHAKE_FAILURE,
    HTTP_REASONS,
    NOT_YET_VALID,
    HttpAnswer,
    LateRefusal,
    VerifyFailure,
)
from sandbox.proxy.transport_options import TransportOptions

if TYPE_CHECKING:
    from sandbox.plan.tls import CommonTlsContext, DownstreamTlsContext, TlsParameters, UpstreamTlsContext
    from sandbox.proxy.secrets import SecretStore

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLSv1_0": ssl.TLSVersion.TLSv1,
    "TLSv1_1": ssl.TLSVersion.TLSv1_1,
    "TLSv1_2": ssl.TLSVersion.TLSv1_2,
    "TLSv1_3": ssl.TLSVersion.TLSv1_3,
}
DEFAULT_CIPHERS: Final = (
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""Envoy's, for both sides up to TLS 1.2 (``TlsParameters.cipher_suites``)."""
PRIORITIZE_CHACHA: Final = 1 << 21
"""``SSL_OP_PRIORITIZE_CHACHA``, which the ssl module does not name: what comes next to the groups ``[A|B]``."""
LEGACY: Final = ("TLSv1_0", "TLSv1_1")
SYSTEM_ROOTS: Final = "file-root:system"
AGAIN: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""A handshake that waits for the peer."""


class _Session(ssl.SSLObject):
    """A handshake that also asks our rules before it counts as done; of one that fails the error has the alert."""

    outgoing: ssl.MemoryBIO
    whole: _Context
    """The context that it was made with; a server's shows its certificate by another one."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except AGAIN:
            if self.context is not self.whole:
                self.context = self.whole  # the certificate is on its way; now the client's is looked at
            raise
        except ssl.SSLError as error:
            if error.reason == HANDSHAKE_FAILURE and self.cipher() is not None:
                raise LateRefusal(*error.args) from None
            if error.reason in HTTP_REASONS and not self.server_side:
                raise HttpAnswer from None
            alert = self.outgoing.read()
            if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in NOT_YET_VALID:
                alert = alert.replace(BAD_CERTIFICATE, CERTIFICATE_EXPIRED)
            error.unsent = alert  # type: ignore[attr-defined]  # ours, for who sends it
            raise
        try:
            self._check_rules()
        except VerifyFailure as failure:
            if self.version() == "TLSv1.3" and not self.server_side:
                failure.unsent = CERTIFICATE_UNKNOWN
            raise

    def _check_rules(self) -> None:
        context = self.context
        if isinstance(context, _Context) and context.rules is not None:
            context.rules.check(self.getpeercert(binary_form=True), context.verify_names)


class _Context(ssl.SSLContext):
    """An SSLContext that takes an empty name as "no SNI", and knows the rules for the peer's certificate."""

    rules: PeerRules | None = None
    verify_names: tuple[str, ...] = ()
    own: PeerCertificate | None = None
    """The certificate that is shown."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname or None, session)
        if isinstance(made, _Session):
            made.outgoing, made.whole = outgoing, self
        return made

    def show_certificate_by(self, lone: _Context) -> None:
        """Shows the certificate by a context without roots: OpenSSL would add the root that has signed it."""

        def use_lone(session: ssl.SSLObject | ssl.SSLSocket, name: str | None, whole: ssl.SSLContext) -> None:
            del name, whole
            session.context = lone

        self.sni_callback = use_lone


class ClientTls:
    """TLS origination of one cluster; contexts are made on first use, per set of options and state of the files."""

    def __init__(
        self, plan: UpstreamTlsContext, secrets: SecretStore, *, auto_sni: bool = False, auto_san: bool = False
    ) -> None:
        self.plan = plan
        self.auto_sni = auto_sni
        self.auto_san = auto_san
        self._secrets = secrets
        self._common = plan.common_tls_context
        self._names = tuple(secret_names(self._common))
        self._contexts: dict[tuple[object, ...], tuple[tuple[object, ...], _Context]] = {}

    def server_name(self, options: TransportOptions) -> str:
        """The SNI to send; empty for none."""
        return options.server_name or self.plan.sni

    def context(self, options: TransportOptions) -> ssl.SSLContext | None:
        """The context; ``None`` where a secret is missing."""
        stamps = tuple(self._secrets.stamp(name) for name in self._names)
        key = (options.verify_names, options.alpn)
        known = self._contexts.get(key)
        if known is not None and known[0] == stamps:
            return known[1]
        try:
            context = self._build(options)
        except (ssl.SSLError, ValueError, OSError):
            context = None
        if context is None:
            return _last_good(known)
        self._contexts[key] = (stamps, context)
        return context

    def _build(self, options: TransportOptions) -> _Context | None:
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.sslobject_class = _Session
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        common = self._common
        _set_parameters(context, common.tls_params if common else None)
        alpn = (common.alpn_protocols if common else ()) or options.alpn
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if common is None:
            return context
        if not _load_certificates(context, common, self._secrets):
            return None
        if not _load_roots(context, common, self._secrets):
            return None
        context.rules = PeerRules.of(common)
        context.verify_names = options.verify_names
        return context


class ServerTls:
    """TLS termination of one filter chain."""

    def __init__(
        self, plan: DownstreamTlsContext, secrets: SecretStore, handshake_seconds: float | None = None
    ) -> None:
        self.plan = plan
        self.handshake_seconds = handshake_seconds
        self._secrets = secrets
        self._names = tuple(secret_names(plan.common_tls_context))
        self._context: tuple[tuple[object, ...], _Context] | None = None

    def context(self) -> ssl.SSLContext | None:
        """The context; ``None`` where a secret is missing: such a connection is closed."""
        stamps = tuple(self._secrets.stamp(name) for name in self._names)
        if self._context is not None and self._context[0] == stamps:
            return self._context[1]
        try:
            context = self._build()
        except (ssl.SSLError, ValueError, OSError):
            context = None
        if context is None:
            return _last_good(self._context)
        self._context = (stamps, context)
        return context

    def _build(self) -> _Context | None:
        common = self.plan.common_tls_context
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = _Session
        if common is None:
            return None
        _set_parameters(context, common.tls_params)
        if not _load_shown(context, common, self._secrets):
            return None
        if not _load_roots(context, common, self._secrets):
            return None
        if context.verify_mode is ssl.CERT_REQUIRED:
            lone = _Context(ssl.PROTOCOL_TLS_SERVER)
            _set_parameters(lone, common.tls_params)
            _load_shown(lone, common, self._secrets)
            context.show_certificate_by(lone)
            if not self.plan.require_client_certificate:
                context.verify_mode = ssl.CERT_OPTIONAL
        context.rules = PeerRules.of(common)
        return context


def _last_good(known: tuple[tuple[object, ...], _Context] | None) -> _Context | None:
    """A rotation is under way, and of certificate and key only one is new: Envoy, too, keeps what it has."""
    return None if known is None else known[1]


def secret_names(common: CommonTlsContext | None) -> list[str]:
    """Every secret that a context needs."""
    if common is None:
        return []
    names = [each.name for each in common.tls_certificate_sds_secret_configs]
    if common.validation_context_sds_secret_config is not None:
        names.append(common.validation_context_sds_secret_config.name)
    combined = common.combined_validation_context
    if combined is not None and combined.validation_context_sds_secret_config is not None:
        names.append(combined.validation_context_sds_secret_config.name)
    return names


def _set_parameters(context: ssl.SSLContext, parameters: TlsParameters | None) -> None:
    """Versions and ciphers; what the plan leaves open is as in Envoy: 1.2 to 1.3, and ``DEFAULT_CIPHERS``."""
    minimum = parameters.tls_minimum_protocol_version if parameters else "TLS_AUTO"
    maximum = parameters.tls_maximum_protocol_version if parameters else "TLS_AUTO"
    context.minimum_version = VERSIONS.get(minimum, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = VERSIONS.get(maximum, ssl.TLSVersion.TLSv1_3)
    chosen = parameters.cipher_suites if parameters else ()
    ciphers = ":".join(_openssl_cipher(name) for name in chosen or DEFAULT_CIPHERS)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0" if minimum in LEGACY else ciphers)
    context.options |= ssl.OP_NO_RENEGOTIATION  # BoringSSL knows none
    if not chosen:
        context.options |= PRIORITIZE_CHACHA


def _openssl_cipher(name: str) -> str:
    """BoringSSL's ``[A|B]`` groups have no counterpart: equal preference becomes the written order."""
    return re.sub(r"[\[\]]", "", name).replace("|", ":")


def _first_certificate(chain: bytes) -> PeerCertificate:
    end = b"-----END CERTIFICATE-----"
    first = chain[chain.index(b"-----BEGIN CERTIFICATE-----") : chain.index(end) + len(end)]
    return read_certificate(ssl.PEM_cert_to_DER_cert(first.decode("ascii")))


def _load_shown(context: _Context, common: CommonTlsContext, secrets: SecretStore) -> bool:
    """What a server says of itself."""
    if common.alpn_protocols:
        context.set_alpn_protocols(list(common.alpn_protocols))
    return _load_certificates(context, common, secrets)


def _load_certificates(context: _Context, common: CommonTlsContext, secrets: SecretStore) -> bool:
    for config in common.tls_certificate_sds_secret_configs:
        secret = secrets.get(config.name)
        if secret is None or not secret.certificate_chain:
            return False
        with tempfile.NamedTemporaryFile() as pem:  # the ssl module loads certificates only from files
            pem.write(secret.certificate_chain + b"\n" + secret.private_key)
            pem.flush()
            context.load_cert_chain(pem.name)
        context.own = _first_certificate(secret.certificate_chain)
    return True


def _load_roots(context: ssl.SSLContext, common: CommonTlsContext, secrets: SecretStore) -> bool:
    name = None
    validation = common.validation_context
    if common.validation_context_sds_secret_config is not None:
        name = common.validation_context_sds_secret_config.name
    combined = common.combined_validation_context
    if combined is not None:
        validation = combined.default_validation_context
        if combined.validation_context_sds_secret_config is not None:
            name = combined.validation_context_sds_secret_config.name
    if validation is not None and validation.trust_chain_verification == "ACCEPT_UNTRUSTED":
        return True
    if name == SYSTEM_ROOTS:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if secrets.further_roots is not None:
            context.load_verify_locations(cafile=secrets.further_roots)
    elif name is not None:
        secret = secrets.get(name)
        if secret is None or not secret.root_certificates:
            return False
        context.load_verify_locations(cadata=secret.root_certificates.decode("ascii", "ignore"))
    elif validation is not None and validation.trusted_ca is not None:
        _load_source(context, validation.trusted_ca.filename, validation.trusted_ca.inline_string)
    else:
        return True
    context.verify_mode = ssl.CERT_REQUIRED
    if validation is not None and validation.crl is not None and validation.crl.filename is not None:
        context.load_verify_locations(cafile=validation.crl.filename)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return True


def _load_source(context: ssl.SSLContext, filename: str | None, inline: str | None) -> None:
    if filename is not None:
        context.load_verify_locations(cafile=filename)
    elif inline is not None:
        context.load_verify_locations(cadata=inline)


def facts_of_session(session: ssl.SSLObject | ssl.SSLSocket) -> TlsFacts:
    """What a finished handshake says."""
    cipher = session.cipher()
    try:
        der = session.getpeercert(binary_form=True)
    except ValueError:  # an error came right after the handshake
        der = None
    peer: PeerCertificate | None = read_certificate(der) if der else None
    return TlsFacts(
        version=session.version(),
        cipher=cipher[0] if cipher else None,
        alpn=session.selected_alpn_protocol(),
        peer_certificate=der,
        peer_uri_san=",".join(peer.uris) if peer and peer.uris else None,
        peer_dns_san=",".join(peer.dns_names) if peer and peer.dns_names else None,
        peer_subject=(peer.subject or None) if peer else None,
        peer=peer,
        own=session.context.own if isinstance(session.context, _Context) else None,
    )
