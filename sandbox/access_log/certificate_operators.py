"""Operators about the certificates of connections (Envoy's ``stream_info_formatter.cc``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sandbox.access_log.command import Command
from sandbox.access_log.operator import Builder, LogEnvironment, Operator
from sandbox.access_log.stream_info import Certificate, StreamInfo
from sandbox.access_log.timestamps import compile_time_format


def _peer(info: StreamInfo) -> Certificate | None:
    return None if info.downstream_tls is None else info.downstream_tls.peer


def _own(info: StreamInfo) -> Certificate | None:
    return None if info.downstream_tls is None else info.downstream_tls.own


def _upstream_peer(info: StreamInfo) -> Certificate | None:
    return None if info.upstream_tls is None else info.upstream_tls.peer


def _upstream_own(info: StreamInfo) -> Certificate | None:
    return None if info.upstream_tls is None else info.upstream_tls.own


def _text(
    name: str, find: Callable[[StreamInfo], Certificate | None], read: Callable[[Certificate], str]
) -> tuple[str, Builder]:
    """What a certificate has nothing of is not there."""

    def value(info: StreamInfo) -> str | None:
        certificate = find(info)
        return None if certificate is None else read(certificate) or None

    own_name = f"_{name.lower()}"
    operator = Operator(source=f"{own_name}(info)", names={own_name: value})
    return name, lambda _command, _environment: operator


_MOMENTS: Final[Mapping[str, Callable[[Certificate], float]]] = {
    "DOWNSTREAM_PEER_CERT_V_START": lambda certificate: certificate.not_before,
    "DOWNSTREAM_PEER_CERT_V_END": lambda certificate: certificate.not_after,
}


def _moment(command: Command, _environment: LogEnvironment) -> Operator:
    """``DOWNSTREAM_PEER_CERT_V_START(format)`` and ``_END``."""
    read, written = _MOMENTS[command.name], compile_time_format(command.argument, is_local=False)

    def value(info: StreamInfo) -> str | None:
        certificate = _peer(info)
        return None if certificate is None else written(read(certificate))

    name = f"_certificate_{abs(hash((command.name, command.argument)))}"
    return Operator(source=f"{name}(info)", names={name: value})


TIMES: Final = frozenset(_MOMENTS)
"""Those that take a format."""
BUILDERS: Final[Mapping[str, Builder]] = {
    **dict.fromkeys(TIMES, _moment),
    **dict(
        (
            _text("DOWNSTREAM_PEER_DNS_SAN", _peer, lambda certificate: ",".join(certificate.dns_names)),
            _text("DOWNSTREAM_PEER_IP_SAN", _peer, lambda certificate: ",".join(certificate.ip_addresses)),
            _text("DOWNSTREAM_PEER_ISSUER", _peer, lambda certificate: certificate.issuer),
            _text("DOWNSTREAM_PEER_SERIAL", _peer, lambda certificate: certificate.serial),
            _text("DOWNSTREAM_LOCAL_URI_SAN", _own, lambda certificate: ",".join(certificate.uris)),
            _text("DOWNSTREAM_LOCAL_DNS_SAN", _own, lambda certificate: ",".join(certificate.dns_names)),
            _text("DOWNSTREAM_LOCAL_IP_SAN", _own, lambda certificate: ",".join(certificate.ip_addresses)),
            _text("DOWNSTREAM_LOCAL_SUBJECT", _own, lambda certificate: certificate.subject),
            _text("UPSTREAM_PEER_IP_SAN", _upstream_peer, lambda certificate: ",".join(certificate.ip_addresses)),
            _text("UPSTREAM_PEER_ISSUER", _upstream_peer, lambda certificate: certificate.issuer),
            _text("UPSTREAM_LOCAL_URI_SAN", _upstream_own, lambda certificate: ",".join(certificate.uris)),
            _text("UPSTREAM_LOCAL_DNS_SAN", _upstream_own, lambda certificate: ",".join(certificate.dns_names)),
            _text("UPSTREAM_LOCAL_IP_SAN", _upstream_own, lambda certificate: ",".join(certificate.ip_addresses)),
        )
    ),
}
