"""Gateway, its servers, ports and TLS settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Message):
    """``istio.networking.v1alpha3.Port``: number, protocol and name of a port."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSCertificate(Message):
    """``istio.networking.v1alpha3.ServerTLSSettings.TLSCertificate``: certificate and key files."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
"""``istio.networking.v1alpha3.ServerTLSSettings.TLSProtocol``."""

ServerTLSMode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]
"""``istio.networking.v1alpha3.ServerTLSSettings.TLSmode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSSettings(Message):
    """``istio.networking.v1alpha3.ServerTLSSettings``: TLS of a gateway port."""

    https_redirect: bool = False
    mode: ServerTLSMode = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: tuple[str, ...] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[TLSCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TLSProtocol = "TLS_AUTO"
    max_protocol_version: TLSProtocol = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Message):
    """``istio.networking.v1alpha3.Server``: one port of a gateway with its hosts and TLS."""

    port: Port | None = None
    bind: str = ""
    hosts: tuple[str, ...] = ()
    tls: ServerTLSSettings | None = None
    default_endpoint: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Message):
    """``istio.networking.v1alpha3.Gateway``: listeners of a gateway workload."""

    servers: tuple[Server, ...] = ()
    selector: Mapping[str, str] = EMPTY
