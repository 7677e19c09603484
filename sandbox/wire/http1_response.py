"""Reads the heads of HTTP/1 responses as Envoy's codec does; whatever it refuses is a protocol error."""

from __future__ import annotations

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.headers import INLINE_RESPONSE, MARKED_RESPONSE, joined
from sandbox.wire.http1_lines import (
    MOST_CONTENT,
    NOT_CONTROL,
    HeadLimits,
    LineMemory,
    Memory,
    OddLine,
    RefusedHead,
    is_version,
    lines_of,
    marked_of,
    regular_lines,
)
from sandbox.wire.http_message import Refusal, ResponseHead

PROTOCOL_ERROR = Refusal(502, "protocol_error")
FIELDS_REFUSED = Refusal(502, "protocol_error_of_fields")
"""The same, once its fields have been read one by one: their bytes count."""
RESPONSE_LIMITS = HeadLimits(max_bytes=80 * 1024)
"""Responses may be larger than requests (``DEFAULT_MAX_RESPONSE_HEADERS_KB``)."""
_RESPONSE_LINES = LineMemory()
_LONGEST_STATUS = 9
_PASSED_ON = frozenset({b"content-length", b"date", b"server", b"via"})


class ResponseHeadReader:
    """``read_response_head`` that remembers whole heads: upstreams repeat themselves, byte for byte."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: Memory[ResponseHead] = Memory()

    def read(self, data: bytes) -> ResponseHead | Refusal | None:
        """See ``read_response_head``."""
        end = data.find(b"\r\n\r\n") + 4
        raw = data[:end]
        known = self._known.get(raw)
        if known is not None:
            return known
        found = read_response_head(data)
        if isinstance(found, ResponseHead) and found.size == end and self._known.wants(raw):
            self._known[raw] = found
        return found


def read_response_head(
    data: bytes, limits: HeadLimits = RESPONSE_LIMITS, *, at_end: bool = False
) -> ResponseHead | Refusal | None:
    """The response head at the beginning of ``data``, a refusal, or ``None`` where it is not complete."""
    if not data.startswith(b"HTTP/"[: len(data)]):
        return PROTOCOL_ERROR
    found = lines_of(data)
    if found is None:
        return PROTOCOL_ERROR if at_end or len(data) > limits.max_bytes or _is_status_line_bad(data) else None
    lines, size, _ = found
    if size > limits.max_bytes:
        return PROTOCOL_ERROR
    try:
        try:
            return _response_of(data, lines, size, limits)
        except OddLine:
            regular = regular_lines(data)
            return None if regular is None else _response_of(data, regular[0], regular[1], limits)
    except (RefusedHead, OddLine):
        return PROTOCOL_ERROR


def _is_status_line_bad(data: bytes) -> bool:
    line, end, _ = data.partition(b"\n")
    return bool(end) and _status_line(line.rstrip(b"\r")) is None


def _status_line(line: bytes) -> tuple[int, bool] | None:
    """Status and whether the version is 1.1; ``None`` where it is no status line."""
    if line.translate(None, NOT_CONTROL):
        return None
    version, _, rest = line.replace(b"\t", b" ").partition(b" ")
    code = rest.lstrip(b" ").partition(b" ")[0]
    if not is_version(version) or not code.isdigit() or len(code) > _LONGEST_STATUS:
        return None
    return int(code), version == b"HTTP/1.1"


def _response_of(data: bytes, lines: list[bytes], size: int, limits: HeadLimits) -> ResponseHead | Refusal:
    first = _status_line(lines[0])
    if first is None:
        return PROTOCOL_ERROR
    headers = _RESPONSE_LINES.read_all(lines[1:])
    if len(headers) > limits.max_count:
        return FIELDS_REFUSED
    if len(dict(headers)) != len(headers):
        if len([name for name, _ in headers if name == b"content-length"]) > 1:
            return PROTOCOL_ERROR
        headers = joined(headers, INLINE_RESPONSE)
    head = ResponseHead(first[0], headers, marked_of(headers, MARKED_RESPONSE), size, first[1], raw=data[:size])
    return _response_framing(head)


def _response_framing(head: ResponseHead) -> ResponseHead | Refusal:
    length = head.marked.get(b"content-length")
    coding = head.marked.get(b"transfer-encoding")
    if length is not None:
        head.content_length = decimal_number(length, MOST_CONTENT)
        if head.content_length is None and (coding is None or coding.lower() != b"chunked"):
            return PROTOCOL_ERROR
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            return FIELDS_REFUSED
        head.is_chunked = True
    if head.status < 200 or head.status == 204:
        if head.content_length or head.is_chunked:
            return FIELDS_REFUSED
        head.content_length = 0
    head.is_simple = (
        head.is_http11
        and head.status >= 200
        and head.status != 304
        and bool(head.content_length)
        and _PASSED_ON.issuperset(head.marked)
    )
    return head
