"""Whose certificate a workload of this process shows, and which authorities it believes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compiler.proxy import Proxy
from sandbox.errors import SettingsError
from sandbox.istio.load import Configuration
from sandbox.pki import Authority
from sandbox.workloads.identities import WorkloadIdentities

OWN = Proxy(node_type="sidecar", namespace="shop", name="web", service_account="web", ip_addresses=("10.0.0.1",))
OTHER = Proxy(node_type="router", namespace="edge", name="gateway", ip_addresses=("10.0.0.2",))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the local authority is."""
    monkeypatch.setenv("EGRESS_CERTS", str(tmp_path / "certs"))
    monkeypatch.delenv("EGRESS_MESH_CA", raising=False)
    return tmp_path / "certs" / "mesh"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """What an agent of another authority left: certificate, key, and root."""
    authority = Authority(tmp_path / "given")
    certificate, key = authority.leaf("web", ["spiffe://cluster.local/ns/shop/sa/web"])
    root = tmp_path / "root.pem"
    root.write_bytes(authority.certificate_file.read_bytes())
    return {"EGRESS_WORKLOAD_CERT": str(certificate), "EGRESS_WORKLOAD_KEY": str(key), "EGRESS_MESH_CA": str(root)}


def test_the_local_authority_issues_what_nobody_gives(folder: Path) -> None:
    identity = WorkloadIdentities({}, "shop/web").of(Configuration(), OTHER)
    assert identity.certificate == str(folder / "edge.default.crt")
    assert identity.roots == (str(folder / "ca.crt"),)
    assert [leaf.names for leaf in Authority(folder).leaves()] == [("spiffe://cluster.local/ns/edge/sa/default",)]


def test_a_given_certificate_is_that_of_the_workload_alone(given: dict[str, str], folder: Path) -> None:
    identities = WorkloadIdentities(given, "shop/web")
    own = identities.of(Configuration(), OWN)
    assert (own.certificate, own.roots) == (given["EGRESS_WORKLOAD_CERT"], (given["EGRESS_MESH_CA"],))
    assert not folder.exists()

    identities.has_others = True
    other = identities.of(Configuration(), OTHER)

    assert other.certificate == str(folder / "edge.default.crt")
    believed = (given["EGRESS_MESH_CA"], str(folder / "ca.crt"))
    assert (other.roots, identities.of(Configuration(), OWN).roots) == (believed, believed)


@pytest.mark.parametrize("named", ["", "ca.crt"], ids=["folder", "its certificate"])
def test_processes_share_the_authority_of_a_folder(named: str, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    Authority(shared)
    identity = WorkloadIdentities({"EGRESS_MESH_CA": str(shared / named)}, "shop/web").of(Configuration(), OWN)
    assert identity.certificate == str(shared / "shop.web.crt")
    assert identity.roots == (str(shared / "ca.crt"),)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (("EGRESS_WORKLOAD_CERT", "EGRESS_WORKLOAD_KEY"), "is a certificate without its key"),
        ((), "there is no such file"),
    ],
    ids=["authority without key", "no such file"],
)
def test_what_does_not_fit_together_is_refused(missing: tuple[str, ...], told: str, given: dict[str, str]) -> None:
    environment = {name: value for name, value in given.items() if name not in missing}
    if not missing:
        environment["EGRESS_WORKLOAD_KEY"] += ".gone"
    with pytest.raises(SettingsError, match=told):
        WorkloadIdentities(environment, "shop/web")
