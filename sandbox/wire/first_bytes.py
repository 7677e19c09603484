"""Tells HTTP/1.x and the HTTP/2 preface from anything else by the first line, as Envoy's http_inspector does."""

from __future__ import annotations

import enum
import re
from typing import Final

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAXIMUM_INSPECTED: Final = 65_536
"""A first line that is longer closes the connection."""


class HttpLook(enum.Enum):
    """What the first bytes are; the value is the application protocol that the inspector announces."""

    HTTP_1_1 = "http/1.1"
    HTTP_1_0 = "http/1.0"
    """Also HTTP/0.9, 1.2 and 2.0: any well-formed line that does not end in ``HTTP/1.1``."""
    HTTP_2 = "h2c"
    NOT_HTTP = ""
    NEED_MORE = "?"
    TOO_LONG = "!"


_PLAIN_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [/*][!-~]* HTTP/1\.1\r?\n")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ISLAND = re.compile(rb"[^\x00-\x20]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_PATH = re.compile(rb"[!-~]*")
_ABSOLUTE = re.compile(rb"[A-Za-z][0-9A-Za-z+.\-]*://(.*)", re.DOTALL)
_HOST = re.compile(rb"[0-9A-Za-z!$%&'()*+,\-.:;=@\[\]_~]*")


def look_for_http(data: bytes) -> HttpLook:
    """``data`` is everything that the client has sent so far, at least one byte."""
    if _PLAIN_LINE.match(data):
        return HttpLook.HTTP_1_1
    if data.startswith(HTTP2_PREFACE):
        return HttpLook.HTTP_2
    if HTTP2_PREFACE.startswith(data):
        return HttpLook.NEED_MORE
    if data[0] <= 0x20:
        return HttpLook.NOT_HTTP
    end = data.find(b"\n", 0, MAXIMUM_INSPECTED)
    if end < 0:
        return HttpLook.TOO_LONG if len(data) >= MAXIMUM_INSPECTED else HttpLook.NEED_MORE
    return _look_at_line(data[:end].rstrip(b"\r"))


KNOWN_METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE M-SEARCH NOTIFY"
    b" OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK"
    b" UNLOCK UNSUBSCRIBE".split()
)
"""What the parser before Envoy 1.39 (http-parser) took for a method."""


def look_for_known_methods(data: bytes) -> HttpLook:
    """As ``look_for_http``, but an unknown method is not HTTP, and is seen to be so at its first wrong letter."""
    look = look_for_http(data)
    if look in (HttpLook.HTTP_2, HttpLook.NOT_HTTP, HttpLook.TOO_LONG) or HTTP2_PREFACE.startswith(data):
        return look
    method, blank, _ = data.partition(b" ")
    if blank:
        return look if method in KNOWN_METHODS else HttpLook.NOT_HTTP
    return look if any(known.startswith(method) for known in KNOWN_METHODS) else HttpLook.NOT_HTTP


def _look_at_line(line: bytes) -> HttpLook:
    """A request line without its end: method, target, version, with any run of controls and blanks between."""
    method = _ISLAND.search(line)
    target = _ISLAND.search(line, method.end()) if method else None
    if method is None or target is None or not _TOKEN.fullmatch(method[0]):
        return HttpLook.NOT_HTTP
    version = line[target.end() :].lstrip(_BLANKS).rstrip(_BLANKS)
    if version and not _VERSION.fullmatch(version):
        return HttpLook.NOT_HTTP
    if not _is_target(target[0], is_connect=method[0] == b"CONNECT"):
        return HttpLook.NOT_HTTP
    return HttpLook.HTTP_1_1 if version == b"HTTP/1.1" else HttpLook.HTTP_1_0


_BLANKS = bytes(range(0x21))


def _is_target(target: bytes, *, is_connect: bool) -> bool:
    """A path, ``*``, an absolute URL, or for CONNECT an authority, in the letters that Envoy allows there."""
    if target[:1] in (b"/", b"*"):
        return _PATH.fullmatch(target) is not None
    rest = target
    if not is_connect:
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            return False
        rest = absolute[1]
    split = next((index for index, byte in enumerate(rest) if byte in b"/?"), len(rest))
    host, path = rest[:split], rest[split:]
    return bool(_HOST.fullmatch(host)) and b"@@" not in host and bool(_PATH.fullmatch(path))
