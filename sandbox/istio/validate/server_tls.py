"""TLS settings of gateway servers and of a Sidecar's inbound listeners."""

from __future__ import annotations

from typing import Final

from sandbox.istio.cipher_suites import is_valid_cipher_suite
from sandbox.istio.gateway import ServerTLSSettings
from sandbox.istio.validate.findings import Findings

_TERMINATING: Final = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
_CERTIFICATE_FIELDS: Final = (
    "server_certificate",
    "private_key",
    "ca_certificates",
    "tls_certificates",
    "credential_name",
    "credential_names",
)


def check_server_tls(tls: ServerTLSSettings | None, findings: Findings) -> None:
    """Mode, ciphers, and where certificates come from."""
    if tls is None:
        return
    _check_ciphers(tls, findings)
    if tls.mode == "ISTIO_MUTUAL":
        for field in (field for field in _CERTIFICATE_FIELDS if getattr(tls, field)):
            findings.error(f"ISTIO_MUTUAL TLS cannot have associated {tls.place.key(field)}", tls, field)
        return
    if tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH"):
        ignored = next((field for field in ("ca_crl", *_CERTIFICATE_FIELDS) if getattr(tls, field)), None)
        if ignored is not None:
            findings.warn(f"{tls.mode} mode does not use certificates, they will be ignored", tls, ignored)
    sources = (
        tls.server_certificate and tls.private_key,
        tls.credential_name,
        tls.credential_names,
        tls.tls_certificates,
    )
    if sum(bool(source) for source in sources) > 1:
        message = (
            "only one of credentialName, credentialNames, serverCertificate/privateKey, tlsCertificates can be set"
        )
        findings.error(message, tls)
    if tls.mode in _TERMINATING and (tls.credential_name or tls.credential_names):
        return
    if tls.mode in _TERMINATING:
        _check_files(tls, findings)
    _check_revocation_list(tls, findings)


def _check_ciphers(tls: ServerTLSSettings, findings: Findings) -> None:
    if tls.min_protocol_version in ("TLSV1_0", "TLSV1_1") and not tls.cipher_suites:
        message = "TLS version below TLSV1_2 require setting compatible ciphers, by default there are none"
        findings.warn(message, tls, "min_protocol_version", hint="set cipherSuites")
    invalid = sorted({suite for suite in tls.cipher_suites if not is_valid_cipher_suite(suite)})
    if invalid:
        findings.warn(f"ignoring invalid cipher suites: {', '.join(invalid)}", tls, "cipher_suites")
    valid = [suite for suite in tls.cipher_suites if is_valid_cipher_suite(suite)]
    twice = sorted({suite for suite in valid if valid.count(suite) > 1})
    if twice:
        findings.warn(f"ignoring duplicate cipher suites: {', '.join(twice)}", tls, "cipher_suites")


def _check_files(tls: ServerTLSSettings, findings: Findings) -> None:
    mode = "SIMPLE TLS" if tls.mode == "SIMPLE" else "MUTUAL TLS"
    if tls.mode != "SIMPLE" and not tls.ca_certificates:
        findings.error(f"{mode} requires a client CA bundle", tls, "mode", hint="set caCertificates or credentialName")
    if len(tls.tls_certificates) > 2:
        findings.warn(f"{mode} can support up to 2 server certificates", tls, "tls_certificates")
    for holder in tls.tls_certificates or (tls,):
        for field in (field for field in ("server_certificate", "private_key") if not getattr(holder, field)):
            meaning = field.replace("_", " ")
            findings.error(f"{mode} requires a {meaning}", holder, hint="set files, or credentialName")


def _check_revocation_list(tls: ServerTLSSettings, findings: Findings) -> None:
    if tls.ca_crl and tls.credential_name:
        message = "CRL is not supported with credentialName, it has to be in the credential"
        findings.error(message, tls, "ca_crl")
    if tls.ca_crl and tls.mode == "SIMPLE":
        findings.error("CRL is not supported with SIMPLE TLS", tls, "ca_crl")
