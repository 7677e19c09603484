"""The local authority: made once, kept, and its leaves with it."""

from __future__ import annotations

import multiprocessing
import shutil
import ssl
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

from cryptography import x509

from sandbox.pki import Authority

WAIT_SECONDS = 30.0


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


def test_processes_that_start_together_share_one_authority(tmp_path: Path) -> None:
    fresh = multiprocessing.get_context("spawn")  # a fork would take over locks that other threads hold
    ready = fresh.Barrier(4)
    processes = [fresh.Process(target=_issue, args=(tmp_path, ready), daemon=True) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_SECONDS)

    assert [process.exitcode for process in processes] == [0] * 4
    ssl.create_default_context().load_cert_chain(tmp_path / "a.crt", tmp_path / "a.key")
    assert [leaf.names for leaf in Authority(tmp_path).leaves()] == [("a.example.com",)]


def _issue(directory: Path, ready: Barrier) -> None:
    ready.wait()
    Authority(directory).leaf("a", ["a.example.com"])


def test_renewed_leaves_are_new_and_for_the_same_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.leaf("ns.account", ["spiffe://cluster.local/ns/ns/sa/account"])
    before = certificate.read_bytes(), key.read_bytes()

    renewed = authority.renew("ns.account")

    assert renewed.names == ("spiffe://cluster.local/ns/ns/sa/account",)
    assert certificate.read_bytes() != before[0]
    assert key.read_bytes() != before[1]


def test_a_leaf_of_another_authority_is_issued_anew(tmp_path: Path) -> None:
    Authority(tmp_path / "old").leaf("a", ["a.example.com"])
    authority = Authority(tmp_path / "new")
    for name in ("a.crt", "a.key"):
        shutil.copy(tmp_path / "old" / name, tmp_path / "new" / name)
    assert authority.leaves() == []

    authority.leaf("a", ["a.example.com"])

    assert [leaf.names for leaf in authority.leaves()] == [("a.example.com",)]


def test_a_new_authority_issues_all_anew_and_the_old_one_still_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf, _ = authority.leaf("a", ["a.example.com"])
    first = x509.load_pem_x509_certificate(leaf.read_bytes()), authority_of(leaf)

    authority.announce_successor()
    announced = trusted(tmp_path)
    assert announced[0] == first[1]
    assert len(announced) == 2
    assert authority_of(Authority(tmp_path).leaf("b", ["b.example.com"])[0]) == first[1]

    authority.give_way()
    assert trusted(tmp_path) == announced[::-1]
    assert {authority_of(tmp_path / name) for name in ("a.crt", "b.crt")} == {announced[1]}
    first[0].verify_directly_issued_by(announced[0])
    assert sorted(file.name for file in tmp_path.glob("*.key")) == ["a.key", "b.key", "ca.key"]

    authority.announce_successor()
    authority.give_way()
    assert first[1] not in trusted(tmp_path)
    assert [found.names for found in Authority(tmp_path).leaves()] == [("a.example.com",), ("b.example.com",)]


def test_an_authority_is_read_right_while_another_takes_over(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.announce_successor()
    announced = trusted(tmp_path)[1]

    (tmp_path / "next-ca.key").rename(tmp_path / "ca.key")

    assert authority_of(Authority(tmp_path).leaf("a", ["a.example.com"])[0]) == announced


def trusted(directory: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((directory / "ca.crt").read_bytes())


def authority_of(leaf: Path) -> x509.Certificate:
    """The authority beside the certificate in its file, which has issued it."""
    certificate, authority = x509.load_pem_x509_certificates(leaf.read_bytes())
    certificate.verify_directly_issued_by(authority)
    return authority
