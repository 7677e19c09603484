"""What an HTTP/2 message may consist of: nghttp2's rules (``nghttp2_http.c``), which are Envoy's."""

from __future__ import annotations

import re

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http_message import Header

INVALID_FIELD = "http2.invalid.header.field"
VIOLATION = "http2.violation.of.messaging.rule"

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH = re.compile(rb"[\x21-\x7e\x80-\xff]+")
_AUTHORITY = re.compile(rb"[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]*")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*")
_CONNECTION_FIELDS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_PSEUDO = {b":method": _METHOD, b":path": _PATH, b":authority": _AUTHORITY, b":scheme": _SCHEME}
MAX_LENGTH = 2**63 - 1


class InvalidMessage(Exception):
    """The rules are broken; ``details`` is what Envoy says of the stream."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


class MessageRules:
    """What is known of the message that comes on one stream."""

    __slots__ = ("_awaits_final", "_is_connect", "_is_head", "_length", "_received")

    def __init__(self, method: bytes = b"") -> None:
        self._is_head = method == b"HEAD"
        self._is_connect = method == b"CONNECT"
        self._awaits_final = False
        """The last head was an informational one."""
        self._length: int | None = None
        self._received = 0

    @property
    def awaits_final(self) -> bool:
        """The next block is a head, not trailers."""
        return self._awaits_final

    def request_head(self, headers: list[Header], *, is_end: bool) -> None:
        """All of a request's head. Raises ``InvalidMessage``."""
        pseudo: dict[bytes, bytes] = {}
        host = None
        is_regular = False
        for name, value in headers:
            if name[:1] == b":":
                allowed = _PSEUDO.get(name)
                if is_regular or allowed is None or name in pseudo or not value or not allowed.fullmatch(value):
                    raise InvalidMessage(INVALID_FIELD)
                pseudo[name] = value
                continue
            is_regular = True
            if name == b"host":
                if host is not None or not value or not _AUTHORITY.fullmatch(value):
                    raise InvalidMessage(INVALID_FIELD)
                host = value
            elif name == b"content-length":
                self._take_length(value)
            else:
                _check_field(name, value)
        self._request_complete(pseudo, host)
        if is_end:
            self.end()

    def _request_complete(self, pseudo: dict[bytes, bytes], host: bytes | None) -> None:
        method, path = pseudo.get(b":method"), pseudo.get(b":path")
        if method == b"CONNECT":
            if path or b":scheme" in pseudo or b":authority" not in pseudo:
                raise InvalidMessage(VIOLATION)
            self._length = None
            return
        if not method or not path or b":scheme" not in pseudo or not (b":authority" in pseudo or host):
            raise InvalidMessage(VIOLATION)
        is_asterisk = method == b"OPTIONS" and path == b"*"
        if pseudo[b":scheme"].lower() in (b"http", b"https") and path[:1] != b"/" and not is_asterisk:
            raise InvalidMessage(VIOLATION)

    def response_head(self, headers: list[Header], *, is_end: bool) -> None:
        """All of a response's head, informational or final. Raises ``InvalidMessage``."""
        status: int | None = None
        is_regular = False
        for name, value in headers:
            if name[:1] == b":":
                if is_regular or status is not None or name != b":status" or value == b"101":
                    raise InvalidMessage(INVALID_FIELD)
                if len(value) != 3 or not value.isdigit():
                    raise InvalidMessage(INVALID_FIELD)
                status = int(value)
                continue
            is_regular = True
            if name == b"content-length":
                self._take_response_length(value, status or 0)
            else:
                _check_field(name, value)
        if status is None:
            raise InvalidMessage(VIOLATION)
        self._awaits_final = status // 100 == 1
        if self._awaits_final or self._is_connect:
            self._length = None
        elif self._is_head or status in (204, 304):
            self._length = 0
        if is_end:
            self.end()

    def _take_response_length(self, value: bytes, status: int) -> None:
        if status // 100 == 1 or (status == 204 and (self._length is not None or value != b"0")):
            raise InvalidMessage(INVALID_FIELD)
        if status // 100 == 2 and self._is_connect:
            return
        self._take_length(value)

    def _take_length(self, value: bytes) -> None:
        length = decimal_number(value, MAX_LENGTH)
        if self._length is not None or length is None:
            raise InvalidMessage(INVALID_FIELD)
        self._length = length

    def trailers(self, headers: list[Header], *, is_end: bool) -> None:
        """Fields after the payload. Raises ``InvalidMessage``."""
        for name, value in headers:
            if name[:1] == b":":
                raise InvalidMessage(INVALID_FIELD)
            if name == b"content-length":
                self._take_length(value)
            else:
                _check_field(name, value)
        if not is_end:
            raise InvalidMessage(VIOLATION)
        self.end()

    def data(self, size: int) -> bool:
        """Whether so much payload may come (now)."""
        self._received += size
        return not self._awaits_final and (self._length is None or self._received <= self._length)

    def end(self) -> None:
        """The message is complete. Raises ``InvalidMessage``."""
        if self._awaits_final or (self._length is not None and self._received != self._length):
            raise InvalidMessage(VIOLATION)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in _CONNECTION_FIELDS:
        raise InvalidMessage(INVALID_FIELD)
    if name == b"te" and value.lower() != b"trailers":
        raise InvalidMessage(INVALID_FIELD)
