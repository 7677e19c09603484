"""TLS settings of a client, as a DestinationRule has them."""

from __future__ import annotations

from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message

ClientTLSMode = Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
"""``istio.networking.v1alpha3.ClientTLSSettings.TLSmode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLSSettings(Message):
    """``istio.networking.v1alpha3.ClientTLSSettings``: TLS towards the upstream."""

    mode: ClientTLSMode = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""
