from __future__ import annotations

import pytest

from .nodes import addresses, compiled, manifest, tls_of
from .sidecars import service_entry

ENTRY = service_entry("a.example.com", "80/HTTP")
NAME = "outbound|80||a.example.com"


def _rule(tls: str) -> str:
    return manifest("DestinationRule", "r", f"host: a.example.com\ntrafficPolicy: {{tls: {{{tls}}}}}")


@pytest.mark.parametrize(
    ("tls", "secrets", "auto_sni", "auto_san"),
    [
        ("mode: SIMPLE", "file-root:system", True, True),
        ("mode: SIMPLE, sni: b.example", "file-root:system", False, False),
        ("mode: SIMPLE, subjectAltNames: [b.example]", "file-root:system", True, False),
        ("mode: SIMPLE, caCertificates: /etc/ca.pem", "file-root:/etc/ca.pem", True, True),
        ("mode: SIMPLE, insecureSkipVerify: true", "", True, False),
    ],
)
def test_tls_to_the_outside_is_verified_unless_told_otherwise(
    tls: str, secrets: str, auto_sni: bool, auto_san: bool
) -> None:
    cluster = compiled(ENTRY, _rule(tls)).cluster(NAME)
    context = tls_of(cluster)
    assert context is not None
    assert context.common_tls_context is not None
    combined = context.common_tls_context.combined_validation_context
    found = (
        combined.validation_context_sds_secret_config.name
        if combined and combined.validation_context_sds_secret_config
        else ""
    )
    options = next(iter((cluster.typed_extension_protocol_options or {}).values()), None)
    upstream = getattr(options, "upstream_http_protocol_options", None)

    assert found == secrets
    assert getattr(upstream, "auto_sni", False) is auto_sni
    assert getattr(upstream, "auto_san_validation", False) is auto_san


def test_a_credential_that_sidecars_cannot_have_leaves_plain_text_and_is_told() -> None:
    node = compiled(ENTRY, _rule("mode: SIMPLE, credentialName: partner"))

    assert tls_of(node.cluster(NAME)) is None
    assert node.codes == ["SBX0411"]


def test_mutual_tls_of_the_mesh_uses_the_long_server_name_unless_there_is_one() -> None:
    for tls, expected in (("mode: ISTIO_MUTUAL", "outbound_.80_._.a.example.com"), ("mode: ISTIO_MUTUAL, sni: x", "x")):
        context = tls_of(compiled(ENTRY, _rule(tls)).cluster(NAME))
        assert context is not None
        assert context.sni == expected


@pytest.mark.parametrize(
    ("location", "policy", "expected"),
    [
        ("MESH_EXTERNAL", "", []),
        ("MESH_INTERNAL", "", ["tlsMode-istio", "tlsMode-disabled"]),
        ("MESH_INTERNAL", manifest("PeerAuthentication", "p", "mtls: {mode: DISABLE}"), []),
    ],
)
def test_workloads_of_the_mesh_are_reached_with_mutual_tls_by_themselves(
    location: str, policy: str, expected: list[str]
) -> None:
    spec = f"""
        hosts: [a.example.com]
        location: {location}
        ports: [{{number: 80, name: http, protocol: HTTP}}]
        resolution: STATIC
        endpoints: [{{address: 10.1.1.1, serviceAccount: a}}]
    """
    cluster = compiled(manifest("ServiceEntry", "a", spec), *filter(None, (policy,))).cluster(NAME)

    assert [match.name for match in cluster.transport_socket_matches] == expected
    assert addresses(cluster) == ["10.1.1.1:80"]
