"""A local certificate authority and the certificates of named hosts, as files."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import ipaddress
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY = "Egress Sandbox local CA"
LIFETIME = datetime.timedelta(days=3650)
# Clocks of containers and hosts differ by minutes, and a certificate "not yet valid" is a confusing failure.
HEAD_START = datetime.timedelta(days=1)
ENOUGH_LEFT = datetime.timedelta(days=7)


class Leaf(NamedTuple):
    """An issued certificate: its files, whom it is for, and until when."""

    certificate_file: Path
    key_file: Path
    names: tuple[str, ...]
    until: datetime.datetime


class Authority:
    """The authority kept in a directory; made when it is not there yet, or about to expire.

    Several processes may share the directory: whoever comes first makes what is missing, the others wait for it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate_file = directory / "ca.crt"
        self._key_file = directory / "ca.key"
        self._next_key_file = directory / "next-ca.key"
        self.made = False
        """Whether this run made the authority, so that whoever trusted the old one must know."""
        directory.mkdir(parents=True, exist_ok=True)
        if self._is_there():
            self._load()
            return
        with self._alone():
            if self._is_there():
                self._load()
            else:
                self._make()

    def leaf(self, name: str, hosts: Iterable[str]) -> tuple[Path, Path]:
        """Files with certificate (the authority's appended) and key for ``hosts``; the first is the subject.

        ``name`` is the files' stem. An existing pair of this authority is kept.
        """
        wanted = tuple(hosts)
        certificate_file, key_file = self._files(name)
        if not self._issued(certificate_file, wanted):
            with self._alone():
                if not self._issued(certificate_file, wanted):
                    self._issue(name, wanted)
        return certificate_file, key_file

    def renew(self, name: str) -> Leaf:
        """A new key and certificate for whom ``name`` (a stem) is issued to; running processes take them up."""
        with self._alone():
            known = self._read(name)
            self._issue(name, known.names)
            return self._read(name)

    def announce_successor(self) -> None:
        """The next authority's certificate beside our own: from now on it counts, and issues nothing yet.

        Of those before us none is left, so that the file has two at most.
        """
        with self._alone():
            self._load()
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(self._next_key_file, key)
            _write(self.certificate_file, _pem(self._certificate) + _pem(_self_signed(key)))

    def give_way(self) -> list[Leaf]:
        """The announced authority takes over, and issues anew what was issued; our certificate still counts."""
        stems = [leaf.certificate_file.stem for leaf in self.leaves()]
        with self._alone():
            before = self._certificate
            os.replace(self._next_key_file, self._key_file)
            self._load()
            _write(self.certificate_file, _pem(self._certificate) + _pem(before))
        return [self.renew(stem) for stem in stems]

    def leaves(self) -> list[Leaf]:
        """What is issued, by name; certificates of another authority that lie here are none."""
        stems = sorted(file.stem for file in self.directory.glob("*.crt") if file != self.certificate_file)
        pairs = [stem for stem in stems if all(file.exists() for file in self._files(stem))]
        return [self._read(stem) for stem in pairs if self._is_ours(self._files(stem)[0])]

    @property
    def until(self) -> datetime.datetime:
        """When the authority itself expires."""
        return self._certificate.not_valid_after_utc

    def _is_there(self) -> bool:
        return self.certificate_file.exists() and self._key_file.exists() and _is_valid(self.certificate_file)

    def _load(self) -> None:
        """The file may have an authority before or after us, too."""
        self._key = _load_key(self._key_file)
        own = self._key.public_key()
        known = x509.load_pem_x509_certificates(self.certificate_file.read_bytes())
        self._certificate = next((each for each in known if each.public_key() == own), known[0])

    def _make(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._key)
        _write_key(self._key_file, self._key)
        _write(self.certificate_file, _pem(self._certificate))
        self.made = True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes here meanwhile."""
        descriptor = os.open(self.lock_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def lock_file(self) -> Path:
        """Locked while a pair is written."""
        return self.directory / ".lock"

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"

    def _read(self, name: str) -> Leaf:
        certificate_file, key_file = self._files(name)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        told = tuple(str(each.value) for each in names)
        return Leaf(certificate_file, key_file, told, certificate.not_valid_after_utc)

    def _issue(self, name: str, hosts: tuple[str, ...]) -> None:
        certificate_file, key_file = self._files(name)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(key.public_key(), hosts)
        _write_key(key_file, key)
        _write(certificate_file, _pem(certificate) + _pem(self._certificate))

    def _issued(self, file: Path, hosts: tuple[str, ...]) -> bool:
        """Whether ``file`` is still good: ours, with its key, not expiring, and for these hosts."""
        if not file.exists() or not file.with_suffix(".key").exists() or not _is_valid(file) or not self._is_ours(file):
            return False
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return list(names) == [_general_name(host) for host in hosts]

    def _is_ours(self, file: Path) -> bool:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        try:
            found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except x509.ExtensionNotFound:
            return False
        return found.key_identifier == issuer.key_identifier

    def _signed(self, key: ec.EllipticCurvePublicKey, hosts: tuple[str, ...]) -> x509.Certificate:
        # An identity is in the alternative name alone, as in the certificates that istiod issues.
        named = [] if "://" in hosts[0] else [x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]
        subject = x509.Name(named)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(subject, self._certificate.subject, key)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(authority_key, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def default_directory() -> Path:
    """``$EGRESS_CERTS``, else ``certs/`` of a checkout, else the user's cache."""
    if chosen := os.environ.get("EGRESS_CERTS"):
        return Path(chosen)
    checkout = Path(__file__).resolve().parent.parent / "certs"
    if (checkout / "README.md").exists() and os.access(checkout, os.W_OK):
        return checkout
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "egress-sandbox" / "certs"


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    builder = _builder(subject, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HEAD_START)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    if "://" in host:
        return x509.UniformResourceIdentifier(host)
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _is_valid(file: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    return certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > ENOUGH_LEFT


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "the authority's key is always elliptic"
    return key


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(file, key.private_bytes(encoding, form, serialization.NoEncryption()), mode=0o600)


def _write(file: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes beside and renames, so that a process which reads at the same moment never sees half a file."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    os.replace(beside, file)
