"""StreamInfo: all that is known of one stream (an HTTP request, or a TCP connection), filled as it goes.

The data plane writes it, access-log operators read it; the field names follow Envoy's ``StreamInfo``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.plan.cluster import Cluster
    from sandbox.plan.listener import FilterChain, Listener
    from sandbox.plan.route import Route, RouteConfiguration, VirtualHost
    from sandbox.wire.grpc_frames import GrpcMessages
    from sandbox.wire.http_message import Header


class Certificate(Protocol):
    """What is told of a certificate; times are Unix seconds."""

    @property
    def uris(self) -> tuple[str, ...]: ...
    @property
    def dns_names(self) -> tuple[str, ...]: ...
    @property
    def ip_addresses(self) -> tuple[str, ...]: ...
    @property
    def subject(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def not_before(self) -> float: ...
    @property
    def not_after(self) -> float: ...


class TlsCertificates(Protocol):
    """Who the two sides of a TLS connection have proved to be."""

    @property
    def peer(self) -> Certificate | None: ...
    @property
    def own(self) -> Certificate | None: ...
    @property
    def peer_certificate(self) -> bytes | None: ...


CLIENT_RESET: Final = "client reset"
IDLE: Final = "idle"
DENIED: Final = "denied"
OUTLIVED: Final = "outlived"


class StreamInfo:
    """One stream. Addresses are ``ip:port`` text as Envoy prints them; times are seconds; ``None`` is "not there"."""

    __slots__ = (
        "authority",
        "bytes_received",
        "bytes_sent",
        "cluster",
        "connection_id",
        "connection_start",
        "connection_termination_details",
        "downstream_direct_local_address",
        "downstream_direct_remote_address",
        "downstream_local_address",
        "downstream_peer_certificate",
        "downstream_peer_subject",
        "downstream_peer_uri_san",
        "downstream_remote_address",
        "downstream_tls",
        "downstream_tls_cipher",
        "downstream_tls_version",
        "downstream_transport_failure_reason",
        "dynamic_metadata",
        "end",
        "filter_chain",
        "filter_state",
        "first_downstream_tx",
        "first_upstream_rx",
        "first_upstream_tx",
        "grpc_messages",
        "is_http",
        "last_downstream_rx",
        "last_downstream_tx",
        "last_upstream_rx",
        "last_upstream_tx",
        "listener",
        "method",
        "original_path",
        "path",
        "protocol",
        "request_headers",
        "request_headers_bytes",
        "request_trailers",
        "requested_server_name",
        "response_code",
        "response_code_details",
        "response_flags",
        "response_headers",
        "response_headers_bytes",
        "response_trailers",
        "route",
        "route_configuration",
        "scheme",
        "start",
        "start_wall",
        "tcp_end",
        "upstream_cluster_name",
        "upstream_connect_end",
        "upstream_connect_start",
        "upstream_connection_id",
        "upstream_handshake_end",
        "upstream_header_bytes_received",
        "upstream_header_bytes_sent",
        "upstream_host",
        "upstream_host_metadata",
        "upstream_host_name",
        "upstream_host_tried",
        "upstream_local_address",
        "upstream_peer_dns_san",
        "upstream_peer_subject",
        "upstream_peer_uri_san",
        "upstream_protocol",
        "upstream_request_attempt_count",
        "upstream_tls",
        "upstream_tls_cipher",
        "upstream_tls_version",
        "upstream_transport_failure_reason",
        "upstream_wait_end",
        "upstream_wait_start",
        "upstream_wire_bytes_received",
        "upstream_wire_bytes_sent",
        "virtual_host",
        "wire_bytes_received",
        "wire_bytes_sent",
    )

    def __init__(self, start: float, start_wall: float) -> None:
        self.start = start
        """Monotonic seconds when the stream began; all other moments are on the same clock."""
        self.start_wall = start_wall
        """Unix time of the same moment."""
        self.end: float | None = None
        self.is_http = False
        self.connection_id = 0
        self.connection_start: float | None = None
        # --- downstream connection ---
        self.downstream_remote_address: str | None = None
        self.downstream_direct_remote_address: str | None = None
        self.downstream_local_address: str | None = None
        """The destination that the client meant."""
        self.downstream_direct_local_address: str | None = None
        """Where the connection arrived, e.g. ``127.0.0.1:15001``; ``None`` is the same as the above."""
        self.requested_server_name: str | None = None
        self.downstream_tls: TlsCertificates | None = None
        """Both sides' certificates, for the formats that ask."""
        self.downstream_tls_version: str | None = None
        self.downstream_tls_cipher: str | None = None
        self.downstream_peer_uri_san: str | None = None
        self.downstream_peer_subject: str | None = None
        self.downstream_peer_certificate: bytes | None = None
        """DER of the client's certificate."""
        self.downstream_transport_failure_reason: str | None = None
        self.connection_termination_details: str | None = None
        # --- what was chosen: the plan's own objects, so that explain knows their lines ---
        self.listener: Listener | None = None
        self.filter_chain: FilterChain | None = None
        self.route_configuration: RouteConfiguration | None = None
        self.virtual_host: VirtualHost | None = None
        self.route: Route | None = None
        self.cluster: Cluster | None = None
        self.upstream_cluster_name: str | None = None
        # --- HTTP request ---
        self.protocol: str | None = None
        """``HTTP/1.0``, ``HTTP/1.1`` or ``HTTP/2``; ``None`` for TCP."""
        self.method: bytes | None = None
        self.scheme: bytes | None = None
        self.authority: bytes | None = None
        self.path: bytes | None = None
        """``:path`` as it goes upstream (after normalisation and rewrite)."""
        self.original_path: bytes | None = None
        """``x-envoy-original-path`` where a rewrite set it."""
        self.request_headers: Sequence[Header] = ()
        """All headers but the pseudo ones, names in lower case, as the upstream saw them."""
        self.request_trailers: Sequence[Header] = ()
        self.request_headers_bytes = 0
        """Bytes of the request's head as the client sent it (``%DOWNSTREAM_HEADER_BYTES_RECEIVED%``)."""
        # --- HTTP response ---
        self.response_code: int | None = None
        """``None`` is logged as 0."""
        self.response_code_details: str | None = None
        self.response_flags: list[str] = []
        """Short flags (``UF``, ``URX``), each once, in the order in which they were set; so they are logged."""
        self.response_headers: Sequence[Header] = ()
        self.response_trailers: Sequence[Header] = ()
        self.grpc_messages: GrpcMessages | None = None
        """Of gRPC calls: the messages both ways."""
        self.response_headers_bytes = 0
        """Bytes of the response's head as sent to the client (``%DOWNSTREAM_HEADER_BYTES_SENT%``)."""
        self.tcp_end: str | None = None
        """``CLIENT_RESET`` or ``DENIED``, where bytes were relayed and ended so; ``IDLE`` or ``OUTLIVED``."""
        # --- upstream ---
        self.upstream_host: str | None = None
        self.upstream_host_tried: str | None = None
        """Of TCP: the host of a connection that was under way when the client's was closed."""
        self.upstream_host_name: str | None = None
        self.upstream_host_metadata: Mapping[str, Mapping[str, object]] | None = None
        self.upstream_connection_id = 0
        self.upstream_local_address: str | None = None
        self.upstream_protocol: str | None = None
        self.upstream_tls: TlsCertificates | None = None
        self.upstream_tls_version: str | None = None
        self.upstream_peer_dns_san: str | None = None
        self.upstream_peer_subject: str | None = None
        self.upstream_peer_uri_san: str | None = None
        """The first name in the upstream's certificate that is a URI: its SPIFFE identity."""
        self.upstream_tls_cipher: str | None = None
        self.upstream_transport_failure_reason: str | None = None
        self.upstream_request_attempt_count = 0
        # --- counts and moments ---
        self.bytes_received = 0
        """Body bytes from downstream (payload for TCP)."""
        self.bytes_sent = 0
        self.wire_bytes_received = 0
        self.wire_bytes_sent = 0
        self.upstream_wire_bytes_received = 0
        self.upstream_wire_bytes_sent = 0
        self.upstream_header_bytes_received = 0
        self.upstream_header_bytes_sent = 0
        self.upstream_wait_start: float | None = None
        """When the last try began to wait for a connection; ``None`` where one was there."""
        self.upstream_wait_end: float | None = None
        self.upstream_connect_start: float | None = None
        self.upstream_connect_end: float | None = None
        self.upstream_handshake_end: float | None = None
        self.first_upstream_tx: float | None = None
        self.last_upstream_tx: float | None = None
        self.first_upstream_rx: float | None = None
        self.last_upstream_rx: float | None = None
        self.last_downstream_rx: float | None = None
        self.first_downstream_tx: float | None = None
        self.last_downstream_tx: float | None = None
        self.dynamic_metadata: dict[str, dict[str, object]] | None = None
        self.filter_state: dict[str, object] | None = None
