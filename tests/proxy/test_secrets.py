"""Certificates and keys are read as pairs, whoever renews them meanwhile."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import pytest

from sandbox import pki
from sandbox.pki import Authority
from sandbox.proxy.secrets import SecretData, SecretStore, WorkloadIdentity


def test_a_pair_that_is_being_renewed_is_read_when_both_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "mesh")
    certificate, key = authority.leaf("shop.web", ("spiffe://cluster.local/ns/shop/sa/web",))
    identity = WorkloadIdentity(certificate=str(certificate), key=str(key), lock=str(authority.lock_file))
    has_key, was_read = threading.Event(), threading.Event()
    write = pki._write

    def write_slowly(file: Path, data: bytes, mode: int = 0o644) -> None:
        if file == certificate:
            has_key.set()
            was_read.wait(0.1)  # who does not wait for the lock reads the old certificate with the new key
        write(file, data, mode)

    monkeypatch.setattr(pki, "_write", write_slowly)
    renewing = threading.Thread(target=authority.renew, args=("shop.web",))
    renewing.start()
    assert has_key.wait(5)
    found = SecretStore(identity=lambda: identity).get("default")
    was_read.set()
    renewing.join()

    assert found is not None
    assert_is_pair(found, tmp_path / "pair.pem")


def test_a_folder_without_a_lock_is_read_as_it_is(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "mesh")
    certificate, key = authority.leaf("shop.web", ("spiffe://cluster.local/ns/shop/sa/web",))
    identity = WorkloadIdentity(certificate=str(certificate), key=str(key), lock=str(tmp_path / "none"))

    found = SecretStore(identity=lambda: identity).get("default")

    assert found is not None
    assert_is_pair(found, tmp_path / "pair.pem")


def assert_is_pair(found: SecretData, file: Path) -> None:
    """OpenSSL takes them together."""
    file.write_bytes(found.certificate_chain + b"\n" + found.private_key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
