"""Rules for single values; each gives a sentence if the value breaks it and None if not.

The rules are those of Istio's ``pkg/config/validation/agent/validation.go`` and ``pkg/config/labels``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

_LABEL_FORMAT: Final = "[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_LABEL: Final = re.compile(_LABEL_FORMAT)
_WILDCARD_LABEL: Final = re.compile(rf"\*|(?:\*|\*-)?{_LABEL_FORMAT}")
_QUALIFIED_NAME: Final = "(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY: Final = re.compile(rf"({_LABEL_FORMAT}(?:\.{_LABEL_FORMAT})*/)?({_QUALIFIED_NAME})")
_LONGEST_LABEL_KEY: Final = 253 + 1 + 63
_LABEL_VALUE: Final = re.compile(rf"(?:{_QUALIFIED_NAME})?")
_ATOI: Final = re.compile(r"[-+]?[0-9]+")
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_MILLISECOND: Final = timedelta(milliseconds=1)
_AUTO_SNI_FORMAT: Final = "outbound_.<PORT>_._.<HOSTNAME>"

UNIX_PREFIX: Final = "unix://"


def is_label(value: str) -> bool:
    """A DNS label in letters of either case, as Istio's ``IsDNS1123Label`` takes it."""
    return len(value) <= 63 and _LABEL.fullmatch(value) is not None


def port_fault(number: int) -> str | None:
    """A port is 1 to 65535."""
    return None if 1 <= number <= 65535 else f"port number {number} must be in the range 1..65535"


def port_name_fault(name: str) -> str | None:
    """The name of a port is a DNS label."""
    return None if is_label(name) else f"invalid port name: {name!r}"


def duration_fault(value: timedelta) -> str | None:
    """A duration is at least a millisecond, in whole milliseconds."""
    if value < _MILLISECOND:
        return "duration must be at least 1ms"
    return "only durations to ms precision are supported" if value % _MILLISECOND else None


def percent_fault(value: int) -> str | None:
    """A whole percentage."""
    return None if 0 <= value <= 100 else f"percentage {value} is not in range 0..100"


def fine_percent_fault(value: float) -> str | None:
    """A percentage that Envoy can count: zero, or at least one in a million."""
    if value == 0.0 or 0.0001 <= value <= 100.0:
        return None
    return f"percentage {value} is neither 0.0, nor in range [0.0001, 100.0]"


def is_ip_address(text: str) -> bool:
    """An IPv4 or IPv6 address, a zone allowed."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip_address_fault(text: str) -> str | None:
    """One address, without a prefix length."""
    return None if is_ip_address(text) else f"{text} is not a valid IP"


def is_cidr(text: str) -> bool:
    """An address and a prefix length; host bits may be set."""
    address, slash, length = text.rpartition("/")
    if not slash or "%" in address or not _PREFIX_LENGTH.fullmatch(length) or not is_ip_address(address):
        return False
    return int(length) <= ipaddress.ip_address(address).max_prefixlen


def subnet_fault(text: str) -> str | None:
    """An address, or a CIDR block."""
    if text.count("/") == 1:
        return None if is_cidr(text) else f"{text} is not a valid CIDR block"
    return ip_address_fault(text)


_URL: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?([^/:]+)(?::[0-9]+)?(?:/.*)?")


def _name_length_fault(name: str) -> str | None:
    if len(name.encode()) > 255:
        return f"domain name {name!r} too long (max 255)"
    return None if name else "empty domain name not allowed"


def _labels_fault(domain: str) -> str | None:
    parts = domain.split(".")
    if _ATOI.fullmatch(parts[-1]) and abs(int(parts[-1])) < 2**63:
        return f"domain name {domain!r} invalid (top level domain {parts[-1]!r} cannot be all-numeric)"
    named = parts[:-1] if parts[-1] == "" else parts
    wrong = next((label for label in named if not is_label(label)), None)
    return None if wrong is None else f"domain name {domain!r} invalid (label {wrong!r} invalid)"


def fqdn_fault(name: str) -> str | None:
    """A DNS name; a dot at the end is allowed, a number as last label is not."""
    return _name_length_fault(name) or _labels_fault(name)


def host_hint(name: str) -> str:
    """What to write in place of a URL, or of a name with its port."""
    inner = _URL.fullmatch(name)
    if inner is None or inner[1] == name or wildcard_domain_fault(inner[1]) is not None:
        return ""
    return f"write the name alone: {inner[1]}"


def wildcard_domain_fault(name: str) -> str | None:
    """A DNS name whose first label may be or begin with ``*``."""
    length = _name_length_fault(name)
    if length is not None:
        return length
    first, dot, rest = name.partition(".")
    if len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        return f"domain name {name!r} invalid (label {first!r} invalid)"
    return _labels_fault(rest) if dot else None


def gateway_domain_fault(name: str, *, sni: bool) -> str | None:
    """As ``wildcard_domain_fault``, but gateways also take the names that AUTO_PASSTHROUGH makes."""
    length = _name_length_fault(name)
    if length is not None or not sni or not name.startswith("outbound_"):
        return length or wildcard_domain_fault(name)
    parts = name.split("_")
    if len(parts) < 4:
        return f"domain name {name} invalid, should follow {_AUTO_SNI_FORMAT} format"
    wrong = "" if re.search("[0-9]", parts[1]) else parts[1]
    if not wrong and not re.search("[a-zA-Z]", parts[3]):
        wrong = parts[3]
    return (
        f"domain name {name!r} invalid (label {wrong!r} invalid), should follow {_AUTO_SNI_FORMAT}" if wrong else None
    )


def partial_wildcard_fault(host: str) -> str | None:
    """A wildcard stands for whole labels: ``*`` or ``*.example.com``."""
    if "*" in host and host != "*" and not host.startswith("*."):
        return f"partial wildcard {host!r} not allowed"
    return None


def unix_address_fault(path: str) -> str | None:
    """The path of a Unix domain socket, or an abstract name after ``@``."""
    if not path:
        return "unix address must not be empty"
    if path.startswith("@") or (path.startswith("/") and not path.endswith("/")):
        return None
    return f"{path} is not an absolute path to a file"


def label_faults(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as Kubernetes takes them: the broken keys, each with its sentence."""
    faults: dict[str, str] = {}
    for key, value in labels.items():
        match = _LABEL_KEY.fullmatch(key) if len(key) <= _LONGEST_LABEL_KEY else None
        if match is None:
            faults[key] = f"invalid tag key: {key!r}"
        elif match[1] and len(match[1]) > 254:
            faults[key] = f"invalid tag key: {key!r} (DNS prefix is too long)"
        elif len(match[2]) > 63:
            faults[key] = f"invalid tag key: {key!r} (name is too long)"
        elif not _LABEL_VALUE.fullmatch(value):
            faults[key] = f"invalid tag value: {value!r}"
    return faults


def matches_host(one: str, other: str) -> bool:
    """Whether two hosts, either of which may be a wildcard, have a name in common."""
    if one.startswith("*"):
        if other.startswith("*"):
            return other[1:].endswith(one[1:]) if len(one) < len(other) else one[1:].endswith(other[1:])
        return other.endswith(one[1:])
    return one.endswith(other[1:]) if other.startswith("*") else one == other


def is_subset_of(one: str, other: str) -> bool:
    """Whether every name of one host is a name of the other."""
    if one.startswith("*"):
        return other.startswith("*") and len(one) >= len(other) and one[1:].endswith(other[1:])
    return one.endswith(other[1:]) if other.startswith("*") else one == other
