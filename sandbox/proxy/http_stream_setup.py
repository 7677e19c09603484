"""What a stream reads of a request's head before its route: connection options, and a path in its normal form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.proxy.http_local_reply import is_grpc_content
from sandbox.wire.grpc_frames import GrpcMessages
from sandbox.wire.headers import tells_upgrade, tokens
from sandbox.wire.http1_body import BodyReader, ChunkedBody, LengthBody, UntilCloseBody
from sandbox.wire.http_path import PathRedirect, PathRejected

if TYPE_CHECKING:
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import RequestHead


def asks_upgrade(head: RequestHead) -> bool:
    """Whether what follows the head belongs to another protocol (or to a CONNECT's target)."""
    if head.method == b"CONNECT":
        return True
    wanted = head.marked.get(b"upgrade")
    return wanted is not None and wanted.lower() != b"h2c" and tells_upgrade(head.marked)


def body_of(head: RequestHead) -> BodyReader | None:
    """What reads the body that follows a head; ``None`` where none does."""
    if asks_upgrade(head):
        return UntilCloseBody()  # whatever its fields say of a length
    if head.is_chunked:
        return ChunkedBody()
    return LengthBody(head.content_length) if head.content_length else None


def read_connection_options(stream: HttpStream, head: RequestHead) -> None:
    """``connection``, ``upgrade`` and ``expect``: whether it is an upgrade, and whether the client will go on."""
    marked = head.marked
    connection = tokens(marked[b"connection"]) if b"connection" in marked else []
    if head.content_length and b"content-length" in connection and not tells_upgrade(marked):
        head.is_chunked, head.content_length = True, None  # its codec has framed the body, and no field tells of that
    stream.is_upgrade = asks_upgrade(head)
    if not stream.is_upgrade and b"upgrade" in connection and b"upgrade" in marked:
        gone = (b"upgrade", b"http2-settings")
        head.headers = [header for header in head.headers if header[0] not in gone]
    stream.saw_close = (
        b"close" in connection
        or b"close" in tokens(marked.get(b"proxy-connection", b""))
        or not (head.is_http11 or b"keep-alive" in connection)
    )
    if not stream.manager.proxy_100_continue and marked.get(b"expect", b"").lower() == b"100-continue":
        head.headers = [header for header in head.headers if header[0] != b"expect"]
        stream.codec.write_informational(100, [], None)


def note_grpc(stream: HttpStream, head: RequestHead) -> None:
    """Whether it is a gRPC call, by its ``content-type``."""
    if head.path is not None and is_grpc_content(head.index[b"content-type"]):
        stream.is_grpc = True
        stream.info.grpc_messages = GrpcMessages()


def normalize_path(stream: HttpStream, path: bytes) -> bytes | None:
    """The path in its normal form; ``None`` where the stream has answered: it is refused, or redirected."""
    if path[:1] != b"/":
        stream.info.scheme = stream.head.scheme
        stream.local_reply(404, b"", "absolute_path_rejected")
        return None
    info = stream.info
    info.path = path = path.partition(b"#")[0]
    try:
        info.path = path = stream.manager.paths.normalize(path)
    except PathRejected:
        info.scheme = stream.head.scheme
        stream.local_reply(400, b"", "path_normalization_failed")
        return None
    except PathRedirect as redirect:
        info.path = redirect.path
        stream.local_reply(307, b"", "path_normalization_failed", first=((b"location", redirect.path),))
        return None
    return path
