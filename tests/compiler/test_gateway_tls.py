"""How gateways terminate TLS: certificates, checks of clients, versions and ciphers."""

from __future__ import annotations

import pytest

from sandbox.plan.tls import CommonTlsContext, DownstreamTlsContext

from .gateways import gateway, routed, router, tls_of, tls_server
from .nodes import Compiled

FILES = "serverCertificate: /etc/certs/cert.pem, privateKey: /etc/certs/key.pem"


def terminated(tls: str, *documents: str, protocol: str = "HTTPS") -> tuple[DownstreamTlsContext, CommonTlsContext]:
    world: Compiled = router(
        gateway("gw", tls_server("a.example.com", tls=tls, protocol=protocol)),
        routed("vs", "a.example.com"),
        *documents,
    )
    context = tls_of(world.plan.listeners[0].filter_chains[0])
    assert context is not None
    assert context.common_tls_context is not None
    return context, context.common_tls_context


@pytest.mark.parametrize(
    ("tls", "certificates", "authority", "requires"),
    [
        pytest.param("{mode: SIMPLE, credentialName: own}", ["kubernetes://own"], None, False, id="a Secret"),
        pytest.param(
            "{mode: SIMPLE, credentialNames: [rsa, ecdsa]}",
            ["kubernetes://rsa", "kubernetes://ecdsa"],
            None,
            False,
            id="two Secrets",
        ),
        pytest.param(
            f"{{mode: SIMPLE, {FILES}}}",
            ["file-cert:/etc/certs/cert.pem~/etc/certs/key.pem"],
            None,
            False,
            id="files",
        ),
        pytest.param(
            "{mode: MUTUAL, credentialName: own}",
            ["kubernetes://own"],
            "kubernetes://own-cacert",
            True,
            id="mutual with a Secret",
        ),
        pytest.param(
            "{mode: MUTUAL, credentialName: own, caCertCredentialName: ca}",
            ["kubernetes://own"],
            "kubernetes://ca",
            True,
            id="mutual with an authority of its own",
        ),
        pytest.param(
            f"{{mode: MUTUAL, {FILES}, caCertificates: /etc/certs/ca.pem}}",
            ["file-cert:/etc/certs/cert.pem~/etc/certs/key.pem"],
            "file-root:/etc/certs/ca.pem",
            True,
            id="mutual with files",
        ),
        pytest.param(
            "{mode: OPTIONAL_MUTUAL, credentialName: own}",
            ["kubernetes://own"],
            "kubernetes://own-cacert",
            False,
            id="optional",
        ),
        pytest.param("{mode: ISTIO_MUTUAL}", ["default"], "ROOTCA", True, id="the mesh's certificates"),
    ],
)
def test_modes_choose_certificates_and_checks(
    tls: str, certificates: list[str], authority: str | None, requires: bool
) -> None:
    context, common = terminated(tls)
    assert [config.name for config in common.tls_certificate_sds_secret_configs] == certificates
    combined = common.combined_validation_context
    secret = combined.validation_context_sds_secret_config if combined is not None else None
    assert (secret.name if secret is not None else None) == authority
    assert bool(context.require_client_certificate) == requires


@pytest.mark.parametrize(
    ("names", "expected"),
    [pytest.param("[client.example.com]", ["client.example.com"], id="a name"), pytest.param("[]", [], id="none")],
)
def test_names_of_clients_are_checked(names: str, expected: list[str]) -> None:
    _, common = terminated(f"{{mode: MUTUAL, credentialName: own, subjectAltNames: {names}}}")
    assert common.combined_validation_context is not None
    checks = common.combined_validation_context.default_validation_context
    found = checks.match_subject_alt_names if checks is not None else ()
    assert [name.exact for name in found] == expected


@pytest.mark.parametrize(
    ("settings", "lowest", "highest"),
    [
        pytest.param(", minProtocolVersion: TLSV1_3", "TLSv1_3", "TLS_AUTO", id="at least 1.3"),
        pytest.param(", maxProtocolVersion: TLSV1_2", "TLS_AUTO", "TLSv1_2", id="at most 1.2"),
    ],
)
def test_versions_are_limited(settings: str, lowest: str, highest: str) -> None:
    _, common = terminated(f"{{mode: SIMPLE, credentialName: own{settings}}}")
    assert common.tls_params is not None
    assert common.tls_params.tls_minimum_protocol_version == lowest
    assert common.tls_params.tls_maximum_protocol_version == highest


def test_ciphers_are_taken_over_without_unknown_and_repeated_ones() -> None:
    wanted = "ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, NO-SUCH-CIPHER"
    _, common = terminated(f"{{mode: SIMPLE, credentialName: own, cipherSuites: [{wanted}]}}")
    assert common.tls_params is not None
    assert common.tls_params.cipher_suites == ("ECDHE-RSA-AES256-GCM-SHA384",)


def test_without_settings_envoy_decides() -> None:
    _, common = terminated("{mode: SIMPLE, credentialName: own}")
    assert common.tls_params is None


@pytest.mark.parametrize("protocol", ["HTTPS", "TLS"])
def test_clients_are_offered_both_versions_of_http(protocol: str) -> None:
    _, common = terminated("{mode: SIMPLE, credentialName: own}", TCP_ROUTE, protocol=protocol)
    assert common.alpn_protocols == ("h2", "http/1.1")


@pytest.mark.parametrize(
    ("disabled", "offered"),
    [("false", ("istio-peer-exchange", "h2", "http/1.1")), ("true", ("h2", "http/1.1"))],
)
def test_peers_of_the_mesh_exchange_metadata_unless_istiod_is_told_not_to(
    disabled: str, offered: tuple[str, ...]
) -> None:
    """Istio's ``BuildListenerTLSContext`` (networking/core/listener.go), ``PILOT_DISABLE_MX_ALPN``."""
    environment = (
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: istio}\n"
        f"spec: {{values: {{pilot: {{env: {{PILOT_DISABLE_MX_ALPN: '{disabled}'}}}}}}}}\n"
    )
    _, common = terminated("{mode: ISTIO_MUTUAL}", TCP_ROUTE, environment, protocol="TLS")
    assert common.alpn_protocols == offered


TCP_ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp, namespace: default}
spec:
  hosts: [a.example.com]
  gateways: [gw]
  tcp: [{route: [{destination: {host: a.example.com, port: {number: 443}}}]}]
"""
