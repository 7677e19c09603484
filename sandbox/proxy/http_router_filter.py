"""RouterFilter: one request on its way to a cluster, with its tries, its timeouts and its mirrors (``router.cc``)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sandbox.match.facts import RequestFacts
from sandbox.plan.http_connection_manager import DynamicForwardProxyFilter
from sandbox.proxy.cluster_manager import LoadBalancerContext
from sandbox.proxy.failure import UpstreamFailure
from sandbox.proxy.http2_client_stream import Http2ClientStream
from sandbox.proxy.http_connection_pool import pool_of, speaks_http2
from sandbox.proxy.http_mirrors import send_mirrors
from sandbox.proxy.http_request_timeouts import RequestTimeouts
from sandbox.proxy.http_response_headers import upstream_response_headers
from sandbox.proxy.http_router import hash_cookie
from sandbox.proxy.http_transport import transport_options
from sandbox.proxy.http_upstream_failure import RESETS, failure_text, flag_of
from sandbox.proxy.http_upstream_head import render_request_head
from sandbox.proxy.tasks import detach
from sandbox.wire.headers import set_header
from sandbox.wire.http2_head import request_fields
from sandbox.wire.http_retries import Reset, RetryState, Verdict

if TYPE_CHECKING:
    from sandbox.proxy.cluster_manager import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.http_connection_pool import HttpConnectionPool
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.wire.http_message import Header, ResponseHead

BUFFER_LIMIT = 1024 * 1024
NOT_RESOLVED = "dns_resolution_failure{cares_norecords:Domain_name_not_found}"
OVERLOADED = ((b"x-envoy-overloaded", b"true"),)
_NOT_AFTER_HANDSHAKE = frozenset({b"content-length", b"content-type", b"transfer-encoding"})
_PLAIN_CONTEXT = LoadBalancerContext()


class RouterFilter:
    """Sends a request to its cluster, again where the retry policy says so, and the response back to the stream."""

    __slots__ = (
        "_attempt",
        "_body",
        "_body_size",
        "_cluster",
        "_completed_at",
        "_connection",
        "_context",
        "_has_informed",
        "_host",
        "_is_done",
        "_is_paused",
        "_keeps_body",
        "_pool",
        "_retry",
        "_retry_timer",
        "_retrying",
        "_set_cookies",
        "_timeouts",
        "_tried",
        "route",
        "stream",
    )

    def __init__(self, stream: HttpStream, route: RouteRuntime) -> None:
        self.stream = stream
        self.route = route
        self._cluster: ClusterRuntime
        self._attempt = 0
        self._completed_at: float | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._connection: Http1ClientConnection | Http2ClientStream | None = None
        self._pool: HttpConnectionPool | Http2ConnectionPool | None = None
        self._has_informed = False
        self._host: Host | None = None
        self._context = _PLAIN_CONTEXT
        self._is_done = False
        self._is_paused = False
        self._retry = RetryState(route.retry) if route.retry is not None else None
        self._keeps_body = self._retry is not None or bool(route.mirrors)
        self._retry_timer: asyncio.TimerHandle | None = None
        self._retrying = False
        self._set_cookies: list[bytes] | None = None
        self._timeouts: RequestTimeouts | None = None
        self._tried: list[Host] = []

    # --- the request ---

    def start(self) -> None:
        """The head is ready and its route chosen."""
        stream, route = self.stream, self.route
        target = stream.target
        assert target is not None
        if target.cluster is None:
            stream.info.response_flags.append("NC")
            stream.local_reply(503, b"", "cluster_not_found")
            return
        self._cluster = target.cluster
        self._set_headers(stream, route)
        self._choose_context(stream, route)
        self._try()
        if stream.is_request_complete and not self._is_done:
            self._request_completed()
        elif stream.is_upgrade and self._timeouts is not None and not self._is_done:
            self._timeouts.start_global()

    def _set_headers(self, stream: HttpStream, route: RouteRuntime) -> None:
        headers, info, manager = stream.headers, stream.info, stream.manager
        if route.timeout > 0 or route.per_try_timeout > 0 or (stream.is_grpc and route.max_grpc_timeout is not None):
            self._timeouts = RequestTimeouts(self, route)
            self._timeouts.set_headers(0.0)
        if route.attempt_count:
            if b"x-envoy-attempt-count" in stream.head.marked:
                set_header(headers, b"x-envoy-attempt-count", b"1")
            else:
                headers.append((b"x-envoy-attempt-count", b"1"))
        target = stream.target
        assert target is not None
        if target.request_mutations is not None:
            target.request_mutations.apply(headers, info)
        for mutations in route.request_mutations:
            mutations.apply(headers, info)
        if route.host_rewrite is not None:
            self._rewrite_host(route.host_rewrite)
        if target.host_rewrite is not None:
            info.authority = target.host_rewrite  # Envoy keeps no original host for a weighted cluster's rewrite
        path = info.path
        if path is not None:
            rewritten = route.rewritten_path(path)
            if rewritten is not None:
                info.original_path = path
                if not manager.suppresses_envoy_headers:
                    set_header(headers, b"x-envoy-original-path", path)
                info.path = rewritten

    def _rewrite_host(self, host: bytes) -> None:
        stream = self.stream
        if not stream.manager.suppresses_envoy_headers:
            set_header(stream.headers, b"x-envoy-original-host", stream.info.authority or b"")
        stream.info.authority = host

    def _choose_context(self, stream: HttpStream, route: RouteRuntime) -> None:
        connection = stream.codec.connection
        needs_destination = self._cluster.plan.type == "ORIGINAL_DST"
        rules = route.retry
        if route.hash_policy is None and not needs_destination and rules is None:
            return
        self._context = context = LoadBalancerContext()
        if needs_destination:
            context.destination = (connection.destination_ip, connection.destination_port)
        if rules is not None and rules.avoid_previous_hosts:
            context.tried = self._tried
            context.retry_attempts = rules.host_attempts
        if route.hash_policy is not None:
            facts = RequestFacts(
                stream.head.method,
                stream.info.path,
                stream.info.authority,
                stream.head.scheme or b"http",
                stream.headers,
            )
            client = (stream.info.downstream_remote_address or "").rpartition(":")[0].strip("[]")
            context.hash_key = route.hash_policy(facts, client)
            if context.hash_key is None and route.hash_cookies:
                self._make_cookie(facts, client)

    def _make_cookie(self, facts: RequestFacts, client: str) -> None:
        info = self.stream.info
        made = hash_cookie(
            self.route.hash_cookies, info.downstream_remote_address or "", info.downstream_local_address or ""
        )
        self._set_cookies = [header for _, _, header in made]
        assert self.route.hash_policy is not None
        with_cookie = RequestFacts(facts.method, facts.path, facts.authority, facts.scheme,
                                   [(b"cookie", name + b"=" + value) for name, value, _ in made])  # fmt: skip
        self._context.hash_key = self.route.hash_policy(with_cookie, client)

    def request_data(self, data: bytes) -> None:
        """Payload of the request."""
        if self._is_done:
            return
        connection = self._connection
        if connection is not None:
            connection.send_data(data)
            if not self._keeps_body:
                return
        self._body.append(data)
        self._body_size += len(data)
        if self._body_size > BUFFER_LIMIT:
            self._too_big_to_keep()

    def _too_big_to_keep(self) -> None:
        """More than the retry buffer holds: no retries, no mirrors; without an upstream yet, the client waits."""
        self._keeps_body = False
        self._retry = None
        if self._connection is not None:
            self._body.clear()
            self._body_size = 0
        elif not self._is_paused:
            self._is_paused = True
            self.stream.codec.pause_request(True)

    def request_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; the end follows."""
        if not self._is_done and self._connection is not None:
            self._connection.send_trailers(headers)

    def flush_request(self) -> None:
        """Sends what of the request is held."""
        if self._connection is not None:
            self._connection.flush()

    def request_end(self) -> None:
        """The request is complete."""
        if self._is_done:
            return
        if self._connection is not None:
            self._connection.end_request()
        if not self._is_done:
            self._request_completed()

    def _request_completed(self) -> None:
        self._completed_at = time.monotonic()
        if self._timeouts is not None:
            self._timeouts.request_completed(has_connection=self._connection is not None)
        if self.route.mirrors and self._keeps_body:
            send_mirrors(self.stream, self.route, b"".join(self._body))

    # --- one try ---

    def _try(self) -> None:
        self._attempt += 1
        stream = self.stream
        stream.info.upstream_request_attempt_count = self._attempt
        cluster = self._cluster
        if cluster.plan.cluster_type is not None:
            detach(self._resolve_then_try(), "dynamic forward proxy")
            return
        self._try_host(cluster.choose_host(self._context))

    async def _resolve_then_try(self) -> None:
        stream = self.stream
        authority = (stream.info.authority or b"").decode("latin-1")
        is_tls = self._cluster.plan.transport_socket is not None
        host = await self._cluster.resolve_host(authority, 443 if is_tls else 80)
        if self._is_done:
            return
        if host is None:
            self._not_resolved()
            return
        self._try_host(host)

    def _not_resolved(self) -> None:
        """The filter that resolves ahead has an answer of its own; where the cluster resolves, it just has no host."""
        stream = self.stream
        if any(isinstance(each.typed_config, DynamicForwardProxyFilter) for each in stream.manager.plan.http_filters):
            stream.info.response_flags.append("DF")
            stream.local_reply(503, b"DNS resolution failure", "dns_resolution_failure")
            return
        stream.info.response_flags.append("UH")
        stream.local_reply(503, b"no healthy upstream", NOT_RESOLVED)

    def _try_host(self, host: Host | None) -> None:
        stream = self.stream
        if host is None:
            stream.info.response_flags.append("UH")
            stream.local_reply(503, b"no healthy upstream", "no_healthy_upstream")
            return
        self._host = host
        if self.route.auto_host_rewrite and host.hostname:
            self._rewrite_host(host.hostname.encode())
        if self._retry is not None:
            self._tried.append(host)
        options = transport_options(self._cluster, stream)
        is_http2 = speaks_http2(self._cluster, stream.info.protocol)
        pool = pool_of(self._cluster, host, options, is_http2=is_http2)
        connection = pool.acquire(self)
        if connection is None:
            self._pool = pool
            stream.info.upstream_host = host.address
            stream.info.upstream_host_name = host.hostname
        elif isinstance(connection, UpstreamFailure):
            if is_http2:
                stream.info.upstream_host = host.address
            self._failed(Reset.OVERFLOW, connection)
        else:
            self._send(connection)

    def on_pool_ready(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """See PoolUser."""
        self._pool = None
        info = self.stream.info
        upstream = connection.upstream
        if upstream is not None and connection.requests == 1:
            info.upstream_connect_start = upstream.connect_start
            info.upstream_connect_end = upstream.connect_end
            info.upstream_handshake_end = upstream.handshake_end
        self._send(connection)
        if self._is_paused and not self._is_done:
            self._is_paused = False
            self.stream.codec.pause_request(False)

    def on_pool_failure(self, host: Host, failure: UpstreamFailure) -> None:
        """See PoolUser."""
        self._pool = None
        if self._is_done:
            return
        self._failed(RESETS[failure.kind], failure)

    def _send(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        stream = self.stream
        info = stream.info
        self._connection = connection
        upstream = connection.upstream
        assert upstream is not None
        info.upstream_host = upstream.host.address
        info.upstream_host_name = upstream.host.hostname
        info.upstream_local_address = upstream.local_address
        info.upstream_protocol = "HTTP/2" if connection.is_http2 else "HTTP/1.1"
        if upstream.tls is not None:
            info.upstream_tls_version = upstream.tls.version
            info.upstream_tls_cipher = upstream.tls.cipher
        is_end = not stream.head.is_chunked and not stream.head.content_length
        info.first_upstream_tx = time.monotonic()
        size = self._send_head(connection, is_end=is_end)
        if stream.manager.counts_wire:
            info.upstream_header_bytes_sent = size
        if self._body_size:
            for data in self._body:
                connection.send_data(data)
            if not self._keeps_body:
                self._body.clear()
                self._body_size = 0
        if stream.is_request_complete:
            connection.end_request()
        if self._timeouts is not None:
            self._timeouts.try_started(is_request_complete=stream.is_request_complete)
        if not stream.is_decoding:
            connection.flush()
        connection.read_early_bytes()

    def _send_head(self, connection: Http1ClientConnection | Http2ClientStream, *, is_end: bool) -> int:
        """Writes the head in the connection's protocol; the bytes of its fields as Envoy counts them."""
        stream = self.stream
        if isinstance(connection, Http2ClientStream):
            info = stream.info
            scheme = stream.head.scheme or b"http"
            fields = request_fields(stream.head, info.path, info.authority or b"", scheme, stream.headers)
            return connection.send_request(self, fields, is_end=is_end)
        head, is_chunked = render_request_head(stream, is_end=is_end, keeps_case=stream.manager.keeps_case)
        connection.send_head(
            self, head, is_chunked=is_chunked, is_head_method=stream.is_head, is_upgrade=stream.is_upgrade
        )
        return len(head) - head.index(b"\n") - 3

    # --- from the upstream ---

    def on_upstream_informational(self, head: ResponseHead) -> None:
        """See UpstreamCallbacks."""
        self._has_informed = True
        self.stream.send_informational(head)

    def on_upstream_head(self, head: ResponseHead, is_end: bool) -> None:
        """See UpstreamCallbacks."""
        stream, info = self.stream, self.stream.info
        connection = self._connection
        assert connection is not None
        now = info.first_upstream_rx = time.monotonic()
        if self._cluster.outlier is not None:
            self._cluster.report_response(connection.host, head.status)
            if not connection.host.healthy:
                connection.close_after_response()
                connection.pool.close_idle()
        if stream.manager.counts_wire:
            self._count_wire()
            info.upstream_header_bytes_received = sum(len(name) + len(value) + 3 for name, value in head.headers)
        if is_end:
            self._connection = None
        if self._retry is not None and self._retries_status(head):
            if self._connection is not None:
                self._drop_connection()
            return
        if self._timeouts is not None:
            self._timeouts.response_started(is_upgrade=stream.is_upgrade and head.status == 101)
        info.response_code_details = "via_upstream"
        if stream.is_upgrade and 200 <= head.status < 400 and stream.head.method != b"CONNECT":
            # the client waits for a 101: whatever body there is would mislead it
            info.response_code_details = "websocket_handshake_unsuccessful"
            self._drop_connection()
            head.headers = [header for header in head.headers if header[0] not in _NOT_AFTER_HANDSHAKE]
            is_end = True
        completed_at = self._completed_at
        service_time = None if completed_at is None else int((now - completed_at) * 1000)
        headers = upstream_response_headers(self.stream, head, service_time)
        for cookie in self._set_cookies or ():
            headers.append((b"set-cookie", cookie))
        names = head.raw if connection.pool.preserve_case else None
        is_upgraded = stream.is_upgrade and head.status == 101 and not is_end
        stream.send_head(head.status, headers, is_end=is_end, is_upgraded=is_upgraded, names=names)
        if is_upgraded:
            stream.codec.enter_tunnel()
        if is_end and not stream.is_ended:
            self.on_upstream_end()

    def on_upstream_data(self, data: bytes) -> None:
        """See UpstreamCallbacks."""
        if not self._is_done:
            self.stream.send_data(data)

    def on_upstream_flush(self) -> None:
        """See UpstreamCallbacks."""
        if not self._is_done:
            self.stream.codec.flush()

    def on_upstream_trailers(self, headers: list[Header]) -> None:
        """See UpstreamCallbacks."""
        if not self._is_done:
            self.stream.send_trailers(headers)

    def on_upstream_end(self) -> None:
        """See UpstreamCallbacks."""
        self._count_wire()
        self._connection = None
        if self._is_done:
            return
        self._is_done = True
        self.stream.info.last_upstream_rx = time.monotonic()
        self.stream.send_end()

    def on_upstream_reset(self, reset: Reset) -> None:
        """See UpstreamCallbacks."""
        self._connection = None
        if self._is_done:
            return
        self._cluster_failed()
        self._failed(reset, None)

    def on_upstream_writable(self, is_writable: bool) -> None:
        """See UpstreamCallbacks."""
        self.stream.codec.pause_request(not is_writable)

    def downstream_writable(self, is_writable: bool) -> None:
        """Back-pressure of the client."""
        if self._connection is not None:
            self._connection.pause_reading(not is_writable)

    # --- failures and retries ---

    def _cluster_failed(self) -> None:
        if self._host is not None and self._cluster.outlier is not None:
            self._cluster.report_connect_failure(self._host)

    def _failed(self, reset: Reset, failure: UpstreamFailure | None) -> None:
        """A try has ended without a response (or in the middle of one)."""
        stream, info = self.stream, self.stream.info
        reason = failure.transport_failure_reason if failure is not None else None
        info.upstream_transport_failure_reason = reason
        if self._retry is not None and not stream.response_started:
            started = failure is None
            if self._retry.wants_reset(reset, request_started=started) and self._retry_or_flag():
                return
        flag = flag_of(reset)
        info.response_flags.append(flag)
        detail = reset.in_details if reason is None else f"{reset.in_details}|{reason}"
        if stream.response_started:
            self._is_done = True
            info.response_code_details = f"upstream_reset_after_response_started{{{detail}}}"
            stream.reset()
            return
        shown = reason if stream.manager.transport_failure_in_body else None
        body = failure_text(reset, was_retried=self._attempt > 1, transport_reason=shown)
        stream.local_reply(
            502 if reset is Reset.PROTOCOL_ERROR else 503,
            body,
            f"upstream_reset_{'after' if self._has_informed else 'before'}_response_started{{{detail}}}",
            first=OVERLOADED if reset is Reset.OVERFLOW else (),
        )

    def _retries_status(self, head: ResponseHead) -> bool:
        assert self._retry is not None
        grpc = head.marked.get(b"grpc-status")
        wants = self._retry.wants_status(
            head.status,
            is_rate_limited=b"x-envoy-ratelimited" in head.marked,
            grpc_status=int(grpc) if grpc is not None and grpc.isdigit() and self.stream.is_grpc else None,
        )
        return wants and self._retry_or_flag()

    def _retry_or_flag(self) -> bool:
        """True where another try is on its way; else the flag that says why not."""
        assert self._retry is not None
        retries = self._cluster.resources.retries
        verdict = self._retry.decide(may_retry=not retries.is_full)
        if verdict is Verdict.RETRY:
            retries.active += 1
            self._retrying = True
            delay = self._retry.next_delay(self.stream.manager.random.random)
            self._retry_timer = asyncio.get_running_loop().call_later(delay, self._try_again)
            if self._timeouts is not None:
                self._timeouts.try_ended()
            return True
        self.stream.info.response_flags.append(verdict.value)
        return False

    def _try_again(self) -> None:
        self._retry_timer = None
        self._retry_done()
        if self._is_done:
            return
        info = self.stream.info
        info.upstream_transport_failure_reason = None
        if self.route.attempt_count:
            set_header(self.stream.headers, b"x-envoy-attempt-count", b"%d" % (self._attempt + 1))
        if self._timeouts is not None:
            elapsed = time.monotonic() - self._completed_at if self._completed_at is not None else 0.0
            self._timeouts.set_headers(elapsed)
        self._try()

    def _retry_done(self) -> None:
        if self._retrying:
            self._retrying = False
            self._cluster.resources.retries.active -= 1

    # --- timeouts (called by RequestTimeouts) ---

    def on_timeout(self) -> None:
        """The route's timeout."""
        if self._is_done:
            return
        self._cluster_failed()
        self._time_out("response_timeout")

    def on_per_try_timeout(self) -> None:
        """This try took too long."""
        if self._is_done or self.stream.response_started:
            return
        self._cluster_failed()
        self._drop_connection()
        retry = self._retry
        if retry is not None and retry.wants_reset(Reset.LOCAL_RESET, request_started=True) and self._retry_or_flag():
            return
        self._time_out("upstream_per_try_timeout")

    def _time_out(self, details: str) -> None:
        stream = self.stream
        stream.info.response_flags.append("UT")
        if stream.response_started:
            stream.info.response_code_details = details
            self._is_done = True
            self._drop_connection()
            stream.reset()
        else:
            stream.local_reply(504, b"upstream request timeout", details)

    # --- the end ---

    def _count_wire(self) -> None:
        """What the try at hand sent and received."""
        connection, info = self._connection, self.stream.info
        if connection is not None and self.stream.manager.counts_wire:
            info.upstream_wire_bytes_sent = connection.wire_bytes_sent
            info.upstream_wire_bytes_received = connection.wire_bytes_received

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.reset()

    def abandon(self) -> None:
        """The stream answers by itself: nothing from the upstream counts any more."""
        self._is_done = True
        self._count_wire()
        self._drop_connection()
        if self._pool is not None:
            self._pool.cancel(self)
            self._pool = None

    def finish(self) -> None:
        """The stream has ended."""
        self.abandon()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        self._retry_done()
        if self._timeouts is not None:
            self._timeouts.stop()
