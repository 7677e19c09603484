"""What is read out of a peer's certificate."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

from sandbox.pki import Authority
from sandbox.proxy.certificates import read_certificate


def test_a_serial_number_below_one_is_read_without_a_word(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).leaf("site.example.com", ["site.example.com"])
    der = ssl.PEM_cert_to_DER_cert(Path(certificate).read_text().partition("-----END")[0] + "-----END CERTIFICATE-----")
    serial = int(read_certificate(der).serial, 16)
    length = serial.bit_length() // 8 + 1
    place = der.index(serial.to_bytes(length, "big"))
    negative = der[:place] + b"\x81" + der[place + 1 :]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_certificate(negative)

    assert found.dns_names == ("site.example.com",)
    assert found.serial.startswith("-")
