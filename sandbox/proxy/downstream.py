"""DownstreamConnection: one accepted connection, what is known of it, and the runtime it belongs to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from sandbox.access_log.stream_info import StreamInfo

if TYPE_CHECKING:
    from sandbox.plan.listener import FilterChain, Listener
    from sandbox.proxy.certificates import PeerCertificate
    from sandbox.proxy.snapshot import NodeRuntime
    from sandbox.proxy.stream_relay import StreamEnd


Redirect = Callable[[bytes, "ServerProtocol"], bytes]
"""Bytes of the next request and who has read them → what to read; nothing: the connection has gone elsewhere."""


class ServerProtocol(Protocol):
    """A protocol that can part with its transport between two requests."""

    connection: DownstreamConnection

    def let_go(self) -> tuple[asyncio.Transport, bytes]:
        """The transport and the bytes read so far; the protocol is done, its connection finished."""


class TlsFacts(msgspec.Struct, frozen=True):
    """What a finished TLS handshake says; names as Envoy prints them (``TLSv1.3``, ``TLS_AES_128_GCM_SHA256``)."""

    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    server_name: str | None = None
    peer_certificate: bytes | None = None
    """DER of the peer's leaf certificate."""
    peer_uri_san: str | None = None
    peer_dns_san: str | None = None
    peer_subject: str | None = None
    peer: PeerCertificate | None = None
    own: PeerCertificate | None = None

    @property
    def first_peer_uri(self) -> str | None:
        """The first URI in the peer's certificate."""
        return None if self.peer_uri_san is None else self.peer_uri_san.partition(",")[0]

    @staticmethod
    def of(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> TlsFacts:
        """Reads them from an established session."""
        from sandbox.proxy.tls_context import facts_of_session

        return facts_of_session(ssl_object)


class DownstreamConnection:
    """One accepted connection. Addresses are ``ip:port`` (``[v6]:port``) text as Envoy prints them.

    The listener owns it until it hands over to a filter; whoever takes it calls ``finished()`` once, at the very end.
    """

    __slots__ = (
        "application_protocols",
        "connection_id",
        "denial",
        "destination_ip",
        "destination_port",
        "direct_local_address",
        "direct_remote_address",
        "direct_remote_ip",
        "door",
        "dry_run",
        "filter_chain",
        "first_bytes",
        "forward_authority",
        "handshake_failure",
        "is_finished",
        "is_redirected",
        "listener",
        "local_address",
        "on_abort",
        "on_drain",
        "on_finished",
        "redirect",
        "remote_address",
        "remote_ip",
        "remote_port",
        "requested_server_name",
        "runtime",
        "socket",
        "start",
        "start_wall",
        "stream",
        "tls",
        "transport_protocol",
        "upstream_cluster",
    )

    def __init__(
        self, sock: socket.socket, connection_id: int, remote: tuple[str, int], destination: tuple[str, int]
    ) -> None:
        self.socket = sock
        self.connection_id = connection_id
        self.start = time.monotonic()
        """When it was accepted, on the monotonic clock (that of ``loop.time()``)."""
        self.start_wall = time.time()
        self.remote_ip, self.remote_port = remote
        self.remote_address = address_text(*remote)
        self.destination_ip, self.destination_port = destination
        """Where the client meant to go."""
        self.local_address = address_text(*destination)
        """The same as text: Envoy's downstream local address."""
        self.direct_local_address: str | None = None
        """Where a redirected connection arrived (``127.0.0.1:15001``); ``None``: where it meant to."""
        self.direct_remote_ip, self.direct_remote_address = self.remote_ip, self.remote_address
        """Whose socket it is: a proxy in front may speak for somebody else."""
        self.is_redirected = True
        """Whether its destination is where it meant to go; a port dialled by itself leads nowhere else."""
        self.door = "capture"
        """``capture``, ``proxy`` (explicit HTTP proxy), ``socks``, ``map`` or ``listener`` (a port the plan binds)."""
        self.listener: Listener
        self.filter_chain: FilterChain | None = None
        self.requested_server_name: str | None = None
        """SNI, in lower case; ``None`` where no inspector looked or none was sent."""
        self.transport_protocol = "raw_buffer"
        """``tls`` or ``raw_buffer``, as the inspectors found."""
        self.application_protocols: tuple[str, ...] = ()
        """ALPN of the ClientHello, or what the HTTP inspector found (``http/1.1``, ``h2c``)."""
        self.first_bytes: bytes | None = None
        """Where an inspector looked for TLS and there was none: what came in its place."""
        self.stream: StreamEnd | None = None
        """The connection as a transport, where it is not a plain socket any more (TLS terminated by us)."""
        self.tls: TlsFacts | None = None
        """Only where we terminate TLS."""
        self.handshake_failure: str | None = None
        """Why its TLS did not come about, in Envoy's words."""
        self.runtime: NodeRuntime
        self.on_drain: Callable[[], None] | None = None
        """Called once when the server drains: finish what is under way, then close."""
        self.on_abort: Callable[[], None] | None = None
        """Closes the connection now, with its log line; called when draining took too long."""
        self.redirect: Redirect | None = None
        """Of the explicit proxy: asked before each further request, because the next one may be for another host."""
        self.denial: str | None = None
        """What an authorization filter says at the client's first byte (``rbac_access_denied_matched_policy[…]``)."""
        self.dry_run: dict[str, object] | None = None
        """What policies in a dry run would have said to it."""
        self.forward_authority: str | None = None
        """``name:port`` that a dynamic forward proxy goes to (``sni_dynamic_forward_proxy``)."""
        self.upstream_cluster: str | None = None
        """The cluster that an earlier filter chose (``sni_cluster``)."""
        self.on_finished: Callable[[DownstreamConnection], None] | None = None
        self.is_finished = False

    def speaks_for(self, source: tuple[str, int], destination: tuple[str, int]) -> None:
        """A PROXY header says who the client is, and where it meant to go."""
        self.direct_local_address = self.direct_local_address or self.local_address
        self.remote_ip, self.remote_port = source
        self.remote_address = address_text(*source)
        self.destination_ip, self.destination_port = destination
        self.local_address = address_text(*destination)

    @property
    def original_destination(self) -> tuple[str, int] | None:
        """For ORIGINAL_DST clusters; ``None`` for a connection that was not redirected."""
        return (self.destination_ip, self.destination_port) if self.is_redirected else None

    def new_stream(self, start: float, start_wall: float) -> StreamInfo:
        """A StreamInfo with everything filled in that belongs to the connection."""
        info = StreamInfo(start, start_wall)
        info.connection_id = self.connection_id
        info.connection_start = self.start
        info.downstream_remote_address = self.remote_address
        info.downstream_direct_remote_address = self.direct_remote_address
        info.downstream_local_address = self.local_address
        info.downstream_direct_local_address = self.direct_local_address
        info.requested_server_name = self.requested_server_name
        info.listener = self.listener
        info.filter_chain = self.filter_chain
        self.tell_tls(info)
        return info

    def tell_tls(self, info: StreamInfo) -> None:
        """Fills in what a finished handshake says."""
        if self.tls is not None:
            info.downstream_tls = self.tls
            info.downstream_tls_version = self.tls.version
            info.downstream_tls_cipher = self.tls.cipher
            info.downstream_peer_uri_san = self.tls.peer_uri_san
            info.downstream_peer_subject = self.tls.peer_subject
            info.downstream_peer_certificate = self.tls.peer_certificate

    def finished(self) -> None:
        """The connection is closed and logged; calling it twice does nothing."""
        if self.is_finished:
            return
        self.is_finished = True
        self.on_drain = self.on_abort = None  # whose they are knows us: only the garbage collector would free both
        if self.on_finished is not None:
            self.on_finished(self)


def address_text(ip: str, port: int) -> str:
    """``ip:port`` as Envoy prints it, IPv6 in brackets."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
