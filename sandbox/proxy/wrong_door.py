"""Clients that speak another protocol than a door's: what they are told, in theirs where it has words for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Final

from sandbox.frozen_dataclass import dataclass

log = logging.getLogger("sandbox.proxy")
MOST_BYTES: Final = 65_536
_TLS_HANDSHAKE: Final = 0x16
"""RFC 8446, section 5.1."""
_SOCKS4: Final = 4
_SOCKS5: Final = 5
_SOCKS4_REJECTED: Final = bytes((0, 91, 0, 0, 0, 0, 0, 0))
_SOCKS5_NO_METHOD: Final = bytes((_SOCKS5, 0xFF))
"""RFC 1928, section 3."""
_BAD_REQUEST: Final = b"400 Bad Request"


@dataclass(frozen=True, slots=True)
class WrongDoor:
    """What a client speaks, what would be right, and the answer that it may understand."""

    speaks: str
    cure: str
    answer: bytes


def at_http_proxy(first: int) -> WrongDoor:
    """By the first byte of what is no HTTP request.

    TLS is answered in plain text, as servers do: the client says of it that it is no TLS, and some (urllib3) that the
    proxy wants ``http://``.
    """
    if first == _TLS_HANDSHAKE:
        cure = "write http:// before the proxy's address, for https URLs, too"
        return WrongDoor("TLS to the HTTP proxy", cure, refusal(_BAD_REQUEST, f"the proxy speaks no TLS; {cure}"))
    if first in (_SOCKS4, _SOCKS5):
        answer = _SOCKS4_REJECTED if first == _SOCKS4 else _SOCKS5_NO_METHOD
        return WrongDoor(f"SOCKS{first} to the HTTP proxy", "--socks 127.0.0.1:1080 opens a door for SOCKS5", answer)
    words = "this is not an HTTP/1.1 request"
    return WrongDoor("something else than HTTP to the HTTP proxy", words, refusal(_BAD_REQUEST, words))


def at_socks5(first: int) -> WrongDoor:
    """By the first byte, which is not SOCKS5's."""
    if first == _SOCKS4:
        return WrongDoor("SOCKS4 to the SOCKS5 door", "write socks5h:// before its address", _SOCKS4_REJECTED)
    cure = "write socks5h:// before its address, or use the HTTP proxy's"
    answer = refusal(_BAD_REQUEST, f"this door speaks SOCKS5; {cure}")
    if first == _TLS_HANDSHAKE:
        return WrongDoor("TLS to the SOCKS5 door", cure, answer)
    return WrongDoor("something else than SOCKS5 to the SOCKS5 door", cure, answer)


def refusal(status: bytes, reason: str) -> bytes:
    """A whole answer of HTTP that says why; the connection is closed after it."""
    body = f"egress: {reason}\n".encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


async def turn_away(sock: socket.socket, remote: tuple[str, int], wrong: WrongDoor) -> None:
    """Says so on the terminal and to the client."""
    log.warning("egress: %s:%d speaks %s: %s", *remote, wrong.speaks, wrong.cure)
    await answer_and_close(sock, wrong.answer)


async def answer_and_close(sock: socket.socket, answer: bytes) -> None:
    """Reads what has been sent so far, for unread bytes would turn the end into a reset and lose the answer."""
    try:
        with contextlib.suppress(BlockingIOError):
            sock.recv(MOST_BYTES)
        await asyncio.get_running_loop().sock_sendall(sock, answer)
    except OSError as error:
        log.debug("the client did not wait for its answer: %s", error)
    finally:
        sock.close()
