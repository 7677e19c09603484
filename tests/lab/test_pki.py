"""The local authority: made once, kept, and its leaves with it."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509

from sandbox.pki import Authority


def test_the_authority_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Authority(tmp_path)
    written = first.certificate_file.read_bytes()

    second = Authority(tmp_path)

    assert (first.made, second.made) == (True, False)
    assert second.certificate_file.read_bytes() == written


def test_a_leaf_is_for_all_its_names_and_addresses(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).leaf("a", ["a.example.com", "*.b.example.com", "10.0.0.7"])

    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["a.example.com", "*.b.example.com"]
    assert [str(one) for one in names.value.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]


def test_a_leaf_is_kept_while_its_names_stay(tmp_path: Path) -> None:
    Authority(tmp_path).leaf("a", ["a.example.com"])
    written = (tmp_path / "a.crt").read_bytes()

    Authority(tmp_path).leaf("a", ["a.example.com"])
    kept = (tmp_path / "a.crt").read_bytes()
    Authority(tmp_path).leaf("a", ["b.example.com"])

    assert kept == written
    assert (tmp_path / "a.crt").read_bytes() != written


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    Authority(tmp_path).leaf("a", ["a.example.com"])

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.key")}
    assert modes == {"ca.key": 0o600, "a.key": 0o600}
