"""``x-forwarded-client-cert``: who the client proved to be (``ConnectionManagerUtility::mutateXfccRequestHeader``)."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox.plan.tls import DownstreamTlsContext
from sandbox.proxy.certificates import read_certificate
from sandbox.wire.headers import set_header

if TYPE_CHECKING:
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.wire.http_message import Header

NAME = b"x-forwarded-client-cert"


class ClientCertHeader:
    """What one connection manager does with the header."""

    __slots__ = ("_details", "_mode")

    def __init__(self, plan: HttpConnectionManager) -> None:
        self._mode = plan.forward_client_cert_details
        self._details = plan.set_current_client_cert_details

    @property
    def is_active(self) -> bool:
        """Whether it ever touches the header."""
        return self._mode != "ALWAYS_FORWARD_ONLY"

    def apply(self, headers: list[Header], existing: bytes | None, connection: DownstreamConnection) -> None:
        """Sets the header, or appends this hop to it, where the client showed a certificate; else it goes."""
        tls = connection.tls
        if self._mode == "SANITIZE" or tls is None or tls.peer_certificate is None:
            if existing is not None:
                headers[:] = [header for header in headers if header[0] != NAME]
            return
        if self._mode == "FORWARD_ONLY":
            return
        element = self._element(connection)
        if self._mode == "APPEND_FORWARD" and existing:
            element = existing + b"," + element
        set_header(headers, NAME, element)

    def _element(self, connection: DownstreamConnection) -> bytes:
        tls, details = connection.tls, self._details
        assert tls is not None
        assert tls.peer_certificate is not None
        parts = [f"By={uri}" for uri in own_uri_sans(connection)]
        parts.append("Hash=" + hashlib.sha256(tls.peer_certificate).hexdigest())
        if details is not None:
            if details.cert:
                parts.append(f'Cert="{quote(ssl.DER_cert_to_PEM_cert(tls.peer_certificate), safe="")}"')
            if details.subject:
                parts.append(f'Subject="{(tls.peer_subject or "").replace(chr(34), chr(92) + chr(34))}"')
            if details.uri:
                parts += [f"URI={uri}" for uri in (tls.peer_uri_san or "").split(",")]
            if details.dns:
                parts += [f"DNS={name}" for name in (tls.peer_dns_san or "").split(",") if name]
        return ";".join(parts).encode()


def own_uri_sans(connection: DownstreamConnection) -> tuple[str, ...]:
    """The URIs of the certificate that we showed to the client."""
    chain = connection.filter_chain
    socket = chain.transport_socket if chain is not None else None
    context = socket.typed_config if socket is not None else None
    if not isinstance(context, DownstreamTlsContext) or context.common_tls_context is None:
        return ()
    for configured in context.common_tls_context.tls_certificate_sds_secret_configs:
        secret = connection.runtime.secrets.get(configured.name)
        if secret is not None and secret.certificate_chain:
            pem = secret.certificate_chain.decode("ascii", "ignore")
            first = pem[: pem.index("-----END CERTIFICATE-----") + 25]
            return tuple(read_certificate(ssl.PEM_cert_to_DER_cert(first)).uris)
    return ()
