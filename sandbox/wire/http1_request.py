"""Reads the heads of HTTP/1 requests exactly as Envoy's codec does: what it takes, and what it says of the rest.

A head is split at its line ends, and header lines seen before are remembered; anything unusual (bare LF, folded lines,
leading empty lines) is first brought into that form. ``None`` means that the head is not complete yet. (Most heads are
read by ``http1_request_reader``, which asks here when it finds anything that is not plain.)
"""

from __future__ import annotations

import re

from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.headers import (
    INLINE_REQUEST,
    MARKED_REQUEST,
    joined,
    set_header,
    set_or_remove,
    tells_upgrade,
    tokens,
)
from sandbox.wire.http1_lines import (
    BAD_REQUEST,
    DEFAULT_LIMITS,
    HEADERS_TOO_LARGE,
    INVALID_CHARACTERS,
    LOW_VERSION,
    MOST_CONTENT,
    NOT_CONTROL,
    TOO_MANY_HEADERS,
    HeadLimits,
    LineMemory,
    OddLine,
    RefusedHead,
    field_bytes,
    is_version,
    lines_of,
    marked_of,
    regular_lines,
)
from sandbox.wire.http1_target import resolve_target
from sandbox.wire.http_message import Refusal, RequestHead

METHODS = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE MSEARCH NOTIFY "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)
_SPACE = 0x20
"""What begins with it, or with a control character, is refused at once; line ends alone are passed over."""
_BLANK = bytes(range(_SPACE + 1))
_BLANKS = re.compile(rb"[\x00-\x20]+")
"""What parts a request line; most of it is refused when the line has been read."""
_FIRST_LETTERS = frozenset(method[0] for method in METHODS)
_URL = bytes(range(0x21, 0x7F))
HOST_CHARACTERS = (
    bytes(range(0x30, 0x3A)) + bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B)) + b"!$%&'()*+,-.:;=@[]_~"
)

_IS_HOST = re.compile(b"[%b]*" % re.escape(HOST_CHARACTERS)).fullmatch
_PLAIN_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1").fullmatch
"""Most lines; they have nothing to complain of but their method."""

REQUEST_LINES = LineMemory()


def read_request_head(data: bytes, limits: HeadLimits = DEFAULT_LIMITS) -> RequestHead | Refusal | None:
    """The head at the beginning of ``data`` (which may hold more behind it), why it is refused, or ``None``."""
    found = lines_of(data)
    if found is None or found[1] > limits.max_bytes:
        return _incomplete_request(data, limits)
    lines, size, _ = found
    try:
        try:
            return _request_of(data, lines, size, limits)
        except OddLine:
            regular = regular_lines(data)
            if regular is None:
                return _incomplete_request(data, limits)
            return _request_of(data, regular[0], regular[1], limits)
    except RefusedHead as refused:
        return INVALID_CHARACTERS if _has_control(data, size) else refused.refusal
    except OddLine:
        return INVALID_CHARACTERS if _has_control(data, size) else BAD_REQUEST


def _has_control(data: bytes, size: int) -> bool:
    """Characters that no head may have are looked for first, wherever in it they are, but for how it begins."""
    return data.lstrip(b"\r\n")[0] > _SPACE and bool(data[:size].translate(None, NOT_CONTROL))


def _incomplete_request(data: bytes, limits: HeadLimits) -> Refusal | None:
    text = data.lstrip(b"\r\n")
    if text and text[0] <= _SPACE:
        return BAD_REQUEST
    if len(data) > limits.max_bytes:
        return HEADERS_TOO_LARGE
    line, end, _ = text.partition(b"\n")
    if end:
        try:
            _request_line(line.rstrip(b"\r"))
        except RefusedHead as refused:
            # a bad request line is not kept waiting for the rest; anything else is found when all is there
            return BAD_REQUEST if refused.refusal == BAD_REQUEST else None
    return None


def _request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """Method, target, and whether the version is 1.1."""
    plain = _PLAIN_REQUEST_LINE(line)
    if plain is not None and plain[1] in METHODS:
        return plain[1], plain[2], True
    if line[0] not in _FIRST_LETTERS:
        raise RefusedHead(BAD_REQUEST)
    method, target, version = (*_BLANKS.split(line.rstrip(_BLANK), 2), b"", b"")[:3]
    if method not in METHODS or not _is_url_valid(target, method == b"CONNECT"):
        raise RefusedHead(BAD_REQUEST)
    if version and not is_version(version):
        raise RefusedHead(BAD_REQUEST)
    if line.translate(None, NOT_CONTROL):
        raise RefusedHead(INVALID_CHARACTERS)
    return method, target, version == b"HTTP/1.1"


def _is_url_valid(url: bytes, is_connect: bool) -> bool:
    if not url:
        return False
    if url[0] in b"/*":
        return not url.translate(None, _URL)
    if not is_connect:
        scheme, separator, url = url.partition(b"://")
        if not separator or not scheme[:1].isalpha() or scheme.translate(None, b"+-.").isalnum() is False:
            return False
    split = min((place for mark in (b"/", b"?") if (place := url.find(mark)) >= 0), default=len(url))
    host, path = url[:split], url[split:]
    return not host.translate(None, HOST_CHARACTERS) and b"@@" not in host and not path.translate(None, _URL)


def _request_of(data: bytes, lines: list[bytes], size: int, limits: HeadLimits) -> RequestHead | Refusal:
    if not lines:
        return BAD_REQUEST
    method, target, is_http11 = _request_line(lines[0])
    fields = lines[1:] if is_http11 or len(lines[0].split()) > 2 else []  # HTTP/0.9, where no version is told
    headers = REQUEST_LINES.read_all(fields)
    if len(headers) > limits.max_count:
        return TOO_MANY_HEADERS
    if limits.underscores != "ALLOW" and any(b"_" in name for name, _ in headers):
        if limits.underscores == "REJECT_REQUEST":
            return Refusal(400, "http1.unexpected_underscore")
        headers = [header for header in headers if b"_" not in header[0]]
    index = dict(headers)
    if len(index) != len(headers):
        if len([name for name, _ in headers if name == b"content-length"]) > 1:
            return BAD_REQUEST
        headers = joined(headers, INLINE_REQUEST)
        index = dict(headers)
    marked = marked_of(headers, MARKED_REQUEST)
    host = marked.get(b"host")
    head = RequestHead(method, target, host, headers, marked, size, None, is_http11, index=index, raw=data[:size])
    if is_http11 and target[:1] == b"/" and host is not None and len(marked) == 1 and method != b"CONNECT":
        return _without_host(head)  # as most are: no field says anything of the body or of the connection
    refusal = framing_refusal(head) or resolve_target(head, limits)
    if refusal is None and not is_http11 and not limits.accept_http10:
        refusal = LOW_VERSION
    return refusal or _without_host(head)


def framing_refusal(head: RequestHead) -> Refusal | None:
    """Why the fields that tell of body and connection are refused; takes away those that Connection names."""
    marked = head.marked
    length = marked.get(b"content-length")
    coding = marked.get(b"transfer-encoding")
    if length is not None:
        head.content_length = decimal_number(length, MOST_CONTENT)
        if head.content_length is None and (coding is None or coding.lower() != b"chunked"):
            return BAD_REQUEST
        if head.content_length and head.method == b"CONNECT":
            return Refusal(400, "http1.body_disallowed")
    if coding is not None:
        if length is not None:
            return Refusal(400, "http1.content_length_and_chunked_not_allowed")
        if coding.lower() != b"chunked" or head.method == b"CONNECT":
            return Refusal(501, "http1.invalid_transfer_encoding")
        head.is_chunked = True
    if b"connection" in marked and not _is_for_another_protocol(head):
        return _sanitize_connection(head)
    return None


def _is_for_another_protocol(head: RequestHead) -> bool:
    """Then Connection is for it, and is left alone."""
    marked = head.marked
    return head.method == b"CONNECT" or (tells_upgrade(marked) and marked[b"upgrade"].lower() != b"h2c")


_KEPT_TOKENS = frozenset({b"close", b"keep-alive", b"upgrade", b"http2-settings"})
_NEVER_NOMINATED = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
_MOST_NOMINATED = 10


def _sanitize_connection(head: RequestHead) -> Refusal | None:
    """Takes away the fields that Connection names (Envoy's ``Utility::sanitizeConnectionHeader``)."""
    members = tokens(head.marked[b"connection"])
    if len(members) >= _MOST_NOMINATED or any(name in _NEVER_NOMINATED or name[:1] == b":" for name in members):
        return Refusal(400, "http1.connection_header_rejected")
    gone = {name for name in members if name not in _KEPT_TOKENS}
    if b"te" in gone and b"trailers" in tokens(head.marked.get(b"te", b"")):
        gone.remove(b"te")
        head.marked[b"te"] = b"trailers"
        set_header(head.headers, b"te", b"trailers")
    if gone:
        head.headers = [header for header in head.headers if header[0] not in gone]
        left = [part for part in head.marked[b"connection"].split(b",") if part.strip(b" \t").lower() not in gone]
        set_or_remove(head.headers, b"connection", b",".join(left))
        head.index = dict(head.headers)
        for name in gone & head.marked.keys():
            del head.marked[name]
        if b"host" in gone:
            head.host = None
        if b"content-length" in gone:
            # the codec has already framed the body by it
            head.headers = [header for header in head.headers if header[0] != b"content-length"]
    return None


def _without_host(head: RequestHead) -> RequestHead | Refusal:
    """Host leaves the list of fields; an authority with characters that none may have is refused."""
    host = head.host
    if b"host" in head.marked:
        head.headers.remove((b"host", head.marked.pop(b"host")))
        head.index.pop(b"host")
    if host is not None and not _IS_HOST(host):
        return Refusal(400, "http.invalid_authority")
    return head


def _bytes_before_foreign_name(head: bytes) -> int:
    """What ``field_bytes`` is of the fields before the first whose name is not ASCII (which is found while they are
    read one by one); 0 where all are, or the head is not so far."""
    line, *lines = head.lstrip(b"\r\n").split(b"\n")
    for place, field in enumerate(lines):
        if not field.partition(b":")[0].isascii():
            try:
                _request_line(line.rstrip(b"\r"))
            except RefusedHead:
                return 0
            return max(field_bytes(b"\n".join((b"", *lines[:place]))) - 3, 0)
    return 0


_PARTS_WITHOUT_VERSION = 2
_REFUSED_WHILE_READING = (BAD_REQUEST, INVALID_CHARACTERS, HEADERS_TOO_LARGE)


def head_sizes(data: bytes, head: RequestHead | Refusal) -> tuple[int, int]:
    """Bytes of the header fields as Envoy counts them (three more than name and value), and of all that was read."""
    if isinstance(head, RequestHead):
        own = data[: head.size]
    else:
        found = lines_of(data)
        own = data if found is None else data[: found[1]]
    if head in _REFUSED_WHILE_READING:
        return _bytes_before_foreign_name(own) if head == BAD_REQUEST else 0, len(data)
    if len(own.lstrip(b"\r\n").partition(b"\n")[0].split()) == _PARTS_WITHOUT_VERSION:
        own = b""
    return field_bytes(own, DEFAULT_LIMITS.max_count if head is TOO_MANY_HEADERS else None), len(data)
