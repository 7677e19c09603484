"""What the connection manager does to a request's headers before it looks for a route (``conn_manager_utility.cc``)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sandbox.proxy.downstream import address_text
from sandbox.proxy.http_client_cert import ClientCertHeader
from sandbox.wire.headers import (
    EDGE_REQUEST_REMOVED,
    EXTERNAL_REQUEST_REMOVED,
    HOP_BY_HOP_REQUEST,
    header_value,
    set_header,
    tells_upgrade,
)
from sandbox.wire.request_id import (
    CLIENT,
    FORCED,
    NO_TRACE,
    SAMPLED,
    is_sampled,
    new_request_id,
    trace_digit,
    with_trace_digit,
)

if TYPE_CHECKING:
    import random

    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan.base import Percent
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.wire.http_message import Header, RequestHead

_REMOVED = HOP_BY_HOP_REQUEST | EXTERNAL_REQUEST_REMOVED
_UUID_LENGTH = 36


class RequestHeaders:
    """Prepares requests for one connection manager; everything it needs of the plan is read once."""

    __slots__ = (
        "_append_port",
        "_client_cert",
        "_client_sampling",
        "_generate_id",
        "_getrandbits",
        "_keeps_external_id",
        "_overall_sampling",
        "_random",
        "_random_sampling",
        "_removed",
        "_skip_xff",
        "_tells_more",
        "_traces",
        "_trusted_hops",
        "_use_remote",
        "_via",
    )

    def __init__(self, plan: HttpConnectionManager, random: random.Random) -> None:
        self._random = random
        self._getrandbits = random.getrandbits
        self._use_remote = bool(plan.use_remote_address)
        self._trusted_hops = plan.xff_num_trusted_hops
        self._skip_xff = plan.skip_xff_append
        self._append_port = plan.append_x_forwarded_port
        self._tells_more = self._append_port or self._use_remote
        self._generate_id = plan.generate_request_id is not False
        self._keeps_external_id = plan.preserve_external_request_id
        self._via = plan.via.encode()
        tracing = plan.tracing
        self._traces = tracing is not None
        self._random_sampling = _ten_thousandths(tracing.random_sampling) if tracing is not None else 0
        self._client_sampling = _ten_thousandths(tracing.client_sampling) if tracing is not None else 0
        self._overall_sampling = _ten_thousandths(tracing.overall_sampling) if tracing is not None else 0
        client_cert = ClientCertHeader(plan)
        self._client_cert = client_cert if client_cert.is_active else None
        self._removed = _REMOVED | EDGE_REQUEST_REMOVED if self._use_remote else _REMOVED

    def prepare(
        self, head: RequestHead, connection: DownstreamConnection, info: StreamInfo, is_upgrade: bool
    ) -> list[Header]:
        """The headers to route and forward (Host apart); ``head.scheme`` is set too."""
        headers = head.headers
        marked = head.marked
        scheme = b"http" if connection.tls is None else b"https"
        if marked or self._use_remote:
            headers = self._marked(head, connection, info, is_upgrade)
        if b"x-forwarded-proto" not in marked:
            headers.append((b"x-forwarded-proto", scheme))
        elif self._use_remote and self._trusted_hops == 0:
            set_header(headers, b"x-forwarded-proto", scheme)
        if self._tells_more:
            self._tell_addresses(headers, marked, connection, info)
        if marked:
            self._request_id(headers, marked)
        elif self._generate_id:
            headers.append((b"x-request-id", self._new_id(marked)))
        if self._client_cert is not None and (marked or connection.tls is not None):
            self._client_cert.apply(headers, marked.get(b"x-forwarded-client-cert"), connection)
        if self._via:
            set_header(headers, b"via", self._via if b"via" not in marked else marked[b"via"] + b", " + self._via)
        if head.scheme is not None or marked:
            scheme = _scheme_told(head) or scheme
        head.scheme = scheme
        return headers

    def _tell_addresses(
        self, headers: list[Header], marked: dict[bytes, bytes], connection: DownstreamConnection, info: StreamInfo
    ) -> None:
        """Where the client connected to, and where it comes from."""
        if self._append_port and (b"x-forwarded-port" not in marked or self._use_remote):
            set_header(headers, b"x-forwarded-port", b"%d" % connection.destination_port)
        if self._use_remote:
            address = (info.downstream_remote_address or "").rpartition(":")[0].strip("[]")
            set_header(headers, b"x-envoy-external-address", address.encode())

    def _marked(
        self, head: RequestHead, connection: DownstreamConnection, info: StreamInfo, is_upgrade: bool
    ) -> list[Header]:
        """The rare case: something among the headers concerns us."""
        marked = head.marked
        removed = self._removed
        is_upgrade = is_upgrade and tells_upgrade(marked)  # a CONNECT need not say so
        if is_upgrade:
            removed = removed - {b"connection", b"upgrade"}
        headers = [header for header in head.headers if header[0] not in removed]
        te = marked.get(b"te")
        if te and not is_upgrade:
            if b"trailers" in [part.strip(b" \t") for part in te.split(b",")]:
                set_header(headers, b"te", b"trailers")
            else:
                headers = [header for header in headers if header[0] != b"te"]
        if self._use_remote:
            self._remote_address(headers, marked, connection, info)
        else:
            trusted = last_address(marked.get(b"x-forwarded-for"), self._trusted_hops)
            if trusted is not None:
                info.downstream_remote_address = address_text(trusted, 0)
        return headers

    def _remote_address(
        self, headers: list[Header], marked: dict[bytes, bytes], connection: DownstreamConnection, info: StreamInfo
    ) -> None:
        if self._trusted_hops > 0:
            trusted = last_address(marked.get(b"x-forwarded-for"), self._trusted_hops - 1)
            if trusted is not None:
                info.downstream_remote_address = address_text(trusted, 0)
        if not self._skip_xff:
            existing = header_value(headers, b"x-forwarded-for")
            own = connection.remote_ip.encode()
            set_header(headers, b"x-forwarded-for", own if not existing else existing + b"," + own)

    # --- x-request-id ---

    def _request_id(self, headers: list[Header], marked: dict[bytes, bytes]) -> None:
        value = marked.get(b"x-request-id")
        if value and not (self._use_remote and not self._keeps_external_id):
            if self._traces:
                traced = self._traced(value, marked)
                if traced is not value:
                    set_header(headers, b"x-request-id", traced)
            return
        if not self._generate_id:
            return
        made = self._new_id(marked)
        if value is None:
            headers.append((b"x-request-id", made))
        else:
            set_header(headers, b"x-request-id", made)

    def _new_id(self, marked: dict[bytes, bytes]) -> bytes:
        """A new id; its first 32 bits say whether it is one of those that are traced (see ``is_sampled``)."""
        bits = self._getrandbits(128)
        made = new_request_id(bits)
        if self._traces and ((bits >> 96) % 10_000 < self._random_sampling or b"x-client-trace-id" in marked):
            return self._traced(made, marked)
        return made

    def _traced(self, value: bytes, marked: dict[bytes, bytes]) -> bytes:
        """The id with its trace digit; ids that are not UUIDs stay as they are."""
        if len(value) != _UUID_LENGTH:
            return value
        digit = trace_digit(value)
        if digit not in (SAMPLED, FORCED, CLIENT):
            digit = self._new_digit(value, marked)
            if digit == NO_TRACE:
                return value
        if self._overall_sampling < 10_000 and not _drawn(value, self._overall_sampling):
            digit = NO_TRACE
        return with_trace_digit(value, digit)

    def _new_digit(self, value: bytes, marked: dict[bytes, bytes]) -> bytes:
        if b"x-client-trace-id" in marked and self._random.random() * 10_000 < self._client_sampling:
            return CLIENT
        return SAMPLED if _drawn(value, self._random_sampling) else NO_TRACE


def _scheme_told(head: RequestHead) -> bytes | None:
    """The scheme of the target, else what ``x-forwarded-proto`` says; ``None`` where it is neither http nor https."""
    for told in (head.scheme, head.marked.get(b"x-forwarded-proto")):
        scheme = b"" if told is None else told.lower()
        if scheme in (b"http", b"https"):
            return scheme
    return None


def _drawn(value: bytes, per_ten_thousand: int) -> bool:
    try:
        return is_sampled(value, per_ten_thousand)
    except ValueError:
        return False


def _ten_thousandths(percent: Percent | None) -> int:
    """Of a percentage; an absent one means all."""
    return 10_000 if percent is None else round(percent.value * 100)


def last_address(forwarded_for: bytes | None, hops: int) -> str | None:
    """The address that ``hops`` places from the end of X-Forwarded-For names, where it is one (no port)."""
    if not forwarded_for:
        return None
    parts = forwarded_for.split(b",")
    if hops >= len(parts):
        return None
    text = parts[-1 - hops].strip(b" \t").decode("latin-1")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped is not None else str(address)
