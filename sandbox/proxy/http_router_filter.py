"""RouterFilter: one request on its way to a cluster, with its tries, its timeouts and its mirrors (``router.cc``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.proxy import http_route_changes as changes
from sandbox.proxy import http_upstream_failure as failures
from sandbox.proxy import http_upstream_send as upstream_send
from sandbox.proxy.failure import REQUESTS_OVERFLOW, UpstreamFailure
from sandbox.proxy.http_balancing import PLAIN, balancing_context
from sandbox.proxy.http_dynamic_forward_proxy import resolve_then
from sandbox.proxy.http_mirrors import BODY, MirrorRequest, end_mirrors, pause_for, start_mirrors
from sandbox.proxy.http_request_body import RequestBody
from sandbox.proxy.http_request_timeouts import RequestTimeouts, needs_timeouts
from sandbox.proxy.http_response_headers import headers_of_refusal, refuses_upgrade, upstream_response_headers
from sandbox.proxy.http_retrier import Retrier
from sandbox.proxy.http_transport import pool_for
from sandbox.proxy.tasks import detach
from sandbox.proxy.upstream_callbacks import UpstreamCallbacks
from sandbox.wire.headers import set_header
from sandbox.wire.http_retries import Reset

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http2_client_stream import Http2ClientStream
    from sandbox.proxy.http2_connection_pool import Http2ConnectionPool
    from sandbox.proxy.http_connection_pool import HttpConnectionPool
    from sandbox.proxy.http_router import RouteRuntime
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.proxy.http_upstream import Http1ClientConnection
    from sandbox.proxy.load_balancer import LoadBalancerContext
    from sandbox.wire.http_message import Header, ResponseHead


class RouterFilter(UpstreamCallbacks):
    """Sends a request to its cluster, again where the retry policy says so, and the response back to the stream."""

    __slots__ = ("_body", "_cluster", "_completed_at", "_connection", "_context", "_has_informed", "_host",
                 "_is_done", "_is_last_try", "_mirrors", "_pool", "_retry", "_rules", "_set_cookies", "_timeouts",
                 "_tried", "answers_no_content", "route", "stream")  # fmt: skip

    def __init__(self, stream: HttpStream, route: RouteRuntime) -> None:
        self.stream = stream
        self.route = route
        self._rules = route.retry
        self.answers_no_content = False
        self._cluster: ClusterRuntime
        self._completed_at: float | None = None
        self._body: RequestBody | None = None
        self._connection: Http1ClientConnection | Http2ClientStream | None = None
        self._mirrors: Sequence[MirrorRequest] = ()
        self._pool: HttpConnectionPool | Http2ConnectionPool | None = None
        self._has_informed = self._is_done = self._is_last_try = False
        self._host: Host | None = None
        self._context: LoadBalancerContext = PLAIN
        self._retry: Retrier | None = None
        self._set_cookies: Sequence[bytes] = ()
        self._timeouts: RequestTimeouts | None = None
        self._tried: list[Host] = []

    # --- the request ---

    def start(self) -> None:
        """The head is ready and its route chosen."""
        stream, route = self.stream, self.route
        cluster = stream.target.cluster if stream.target is not None else None
        if cluster is None:
            failures.reply_no_cluster(stream)
            return
        self._cluster = cluster
        stream.info.upstream_request_attempt_count = 1
        if ((stream.head.marked or stream.is_grpc) and needs_timeouts(stream, route)) or route.has_timeouts:
            self._timeouts = RequestTimeouts(self, route)
            self._timeouts.set_headers(0.0)
        if route.attempt_count:
            changes.put_header(stream, changes.FIRST_ATTEMPT)
        if route.changes_requests:
            changes.apply_route_changes(stream, route)
        if route.asked_retry is not None:
            self._rules, self.answers_no_content = changes.take_asked_retries(stream, route.asked_retry)
            self._retrier()
        if route.balances_by_request:
            self._context, self._set_cookies = balancing_context(stream, route, cluster, self._tried)
            self._retrier()  # it looks at every try, not only from the first failure on
        self._try()
        if route.mirrors and "UH" not in stream.info.response_flags:
            self._mirrors = start_mirrors(stream, route, self._timeouts.global_timeout if self._timeouts else 0.0)
            if self._is_done:
                end_mirrors(self._mirrors, is_complete=stream.is_request_complete)
        if stream.is_request_complete and not self._is_done:
            self._request_completed()
        elif stream.is_upgrade and self._timeouts is not None and not self._is_done:
            self._timeouts.start_global()

    def request_data(self, data: bytes) -> None:
        """Payload of the request."""
        if self._is_done:
            return
        body = self._body
        if body is None:
            is_held = self.stream.is_upgrade and not self.stream.response_started
            keeps, pause = self._rules is not None, pause_for(BODY, self.stream.codec, self._mirrors)
            self._body = body = RequestBody(self.stream.codec, pause, keeps=keeps, is_held=is_held)
        for mirror in self._mirrors:
            mirror.send_data(data)
        if not body.take(data, self._connection):
            self._give_up_retries()  # the request cannot be sent again

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
            if self.stream.codec.is_http1 and self._connection.is_http2:
                self._connection.flush()  # Envoy's HTTP/1 codec tells the end apart, so it has a frame of its own
            self._connection.end_request()
            self.stream.info.last_upstream_tx = time.monotonic()
        if not self._is_done:
            self._request_completed()

    def _request_completed(self) -> None:
        self._completed_at = self.stream.info.last_upstream_tx or time.monotonic()
        if self._timeouts is not None:
            self._timeouts.request_completed(has_connection=self._connection is not None)
        if self._mirrors:
            end_mirrors(self._mirrors, is_complete=True)

    # --- one try ---

    def _try(self) -> None:
        stream = self.stream
        cluster = self._cluster
        if cluster.plan.cluster_type is not None:
            detach(resolve_then(stream, cluster, self._try_host), "dynamic forward proxy")
            return
        if self._retry is not None:
            self._retry.prepare(self._context)
        self._try_host(cluster.choose_host(self._context))

    def _try_host(self, host: Host | None) -> None:
        stream = self.stream
        if host is None:
            failures.reply_no_host(stream, "no_healthy_upstream")
            return
        self._host = host
        stream.info.first_upstream_rx = None
        if self.route.auto_host_rewrite and host.hostname:
            changes.rewrite_host(stream, host.hostname.encode())
        self._tried.append(host)
        if self._retry is not None:
            self._retry.tried(host)
        pool = pool_for(stream, self._cluster, host)
        connection = pool.acquire(self)
        if connection is None:
            self._pool = pool
            upstream_send.note_wait(stream.info, host)
        elif type(connection) is UpstreamFailure:
            if connection is REQUESTS_OVERFLOW:  # a connection was there, and so the host is known
                stream.info.upstream_host = host.address
            self._failed(Reset.OVERFLOW, connection)
        else:
            self._send(connection)

    def on_pool_ready(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        """See PoolUser."""
        self._pool = None
        self.stream.info.upstream_wait_end = time.monotonic()
        self._send(connection)

    def on_pool_failure(self, host: Host, failure: UpstreamFailure) -> None:
        """See PoolUser."""
        self._pool = None
        if self._is_done:
            return
        self.stream.info.upstream_wait_end = time.monotonic()
        self._failed(failures.RESETS[failure.kind], failure)

    def _send(self, connection: Http1ClientConnection | Http2ClientStream) -> None:
        stream = self.stream
        self._connection = connection
        upstream_send.send_head(self, connection)
        if self._body is not None:
            self._body.send(connection)
        if stream.is_request_complete:
            upstream_send.end_request(connection, stream.info.request_trailers)
            stream.info.last_upstream_tx = stream.info.first_upstream_tx
        if self._timeouts is not None:
            self._timeouts.try_started(is_request_complete=stream.is_request_complete or stream.is_upgrade)
        if not stream.is_decoding:
            connection.flush()
        connection.read_early_bytes()

    # --- from the upstream ---

    def on_upstream_informational(self, head: ResponseHead) -> None:
        """See UpstreamCallbacks."""
        if self._has_informed:
            return  # the client gets one, and from then on nothing is tried again
        self._has_informed = True
        self._give_up_retries()
        connection = self._connection
        names = head.raw if connection is not None and connection.pool.preserve_case else None
        self.stream.send_informational(head, names)

    def on_upstream_head(self, head: ResponseHead, is_end: bool) -> None:
        """See UpstreamCallbacks."""
        stream, info = self.stream, self.stream.info
        connection = self._connection
        assert connection is not None
        now = info.first_upstream_rx = time.monotonic()
        if self._cluster.outlier is not None:
            self._cluster.report_response(connection.host, head.status)
        if is_end:
            self._connection = None
        elif stream.manager.counts_wire:
            upstream_send.count_wire(stream, connection)
        info.response_code_details = "via_upstream"
        if stream.is_upgrade and not connection.is_http2 and refuses_upgrade(stream, head):
            stream.local_reply(head.status, b"", "websocket_handshake_unsuccessful", last=headers_of_refusal(head))
            return
        if self._retry is not None or head.status >= self.route.lowest_retried_status or not head.is_simple:
            retrier = self._retrier()
            if retrier is not None and retrier.retries_response(head):
                self._drop_connection()
                return
        if self._timeouts is not None:
            self._timeouts.response_started(is_upgrade=stream.is_upgrade and head.status == 101)
        completed_at = self._completed_at
        service_time = None if completed_at is None else int((now - completed_at) * 1000)
        headers = upstream_response_headers(self.stream, head, service_time)
        for cookie in self._set_cookies:
            headers.append((b"set-cookie", cookie))
        names = head.raw if connection.pool.preserve_case else None
        is_upgraded = stream.is_upgrade and head.status == 101 and not is_end
        marked = None if self.route.changes_responses else head.marked
        stream.send_head(head.status, headers, is_end, is_upgraded, names, marked)
        if is_upgraded:
            upstream_send.open_tunnel(stream, self._body, connection)
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

    def on_upstream_counted(self) -> None:
        """See UpstreamCallbacks."""
        upstream_send.count_wire(self.stream, self._connection)

    def on_upstream_end(self) -> None:
        """See UpstreamCallbacks."""
        self._connection = None
        if self._is_done:
            return
        self._is_done = True
        self.stream.info.last_upstream_rx = now = time.monotonic()
        self.stream.send_end(now)

    def on_upstream_reset(self, reset: Reset) -> None:
        """See UpstreamCallbacks."""
        upstream_send.count_wire(self.stream, self._connection)
        self._connection = None
        if self._is_done:
            return
        self._cluster_failed()
        self._failed(reset, None)

    def on_upstream_writable(self, is_writable: bool) -> None:
        """See UpstreamCallbacks."""
        pause_for(self, self.stream.codec, self._mirrors)(not is_writable)

    def downstream_writable(self, is_writable: bool) -> None:
        """Back-pressure of the client."""
        if self._connection is not None:
            self._connection.pause_reading(not is_writable)

    # --- failures and retries ---

    def _retrier(self) -> Retrier | None:
        """Who decides on another try, where there may be one; made at first need, for most requests need none."""
        if self._retry is None and self._rules is not None:
            self._retry = Retrier(self, self._rules, self._cluster)
        return None if self._is_last_try else self._retry

    def _give_up_retries(self) -> None:
        self._is_last_try = True
        if self._retry is not None:
            self._retry.give_up()

    def _cluster_failed(self) -> None:
        if self._host is not None and self._cluster.outlier is not None:
            self._cluster.report_connect_failure(self._host)

    def _failed(self, reset: Reset, failure: UpstreamFailure | None) -> None:
        """A try has ended without a response (or in the middle of one)."""
        stream, info = self.stream, self.stream.info
        reason = failure.transport_failure_reason if failure is not None else None
        info.upstream_transport_failure_reason = reason
        retrier = None if stream.response_started else self._retrier()
        if retrier is not None and retrier.retries_reset(reset, request_started=failure is None):
            return
        failures.reply_failure(stream, reset, reason, has_informed=self._has_informed)

    def on_retry_scheduled(self) -> None:
        """Another try follows (called by Retrier)."""
        if self._timeouts is not None:
            self._timeouts.try_ended()

    def try_again(self) -> None:
        """Its time has come (called by Retrier)."""
        if self._is_done:
            return
        info = self.stream.info
        if self._context is PLAIN:
            self._context, _ = balancing_context(self.stream, self.route, self._cluster, self._tried)
        info.upstream_transport_failure_reason = info.upstream_wait_start = None
        info.upstream_request_attempt_count += 1
        if self.route.attempt_count:
            set_header(self.stream.headers, b"x-envoy-attempt-count", b"%d" % info.upstream_request_attempt_count)
        if self._timeouts is not None:
            elapsed = time.monotonic() - self._completed_at if self._completed_at is not None else 0.0
            self._timeouts.set_headers(elapsed)
        self._try()

    # --- timeouts (called by RequestTimeouts) ---

    def on_timeout(self) -> None:
        """The route's timeout."""
        if not self._is_done:
            self._cluster_failed()
            failures.reply_timeout(self.stream)

    def on_try_timeout(self, *, is_duration: bool) -> None:
        """This try took too long; or (``is_duration``) its stream has lived as long as the request allows."""
        if self._is_done or (self._has_informed and not is_duration):
            return
        if not is_duration:
            self._cluster_failed()
        self._drop_connection()
        retrier = None if self.stream.response_started else self._retrier()
        if retrier is None or not retrier.retries_reset(Reset.LOCAL_RESET, request_started=True):
            failures.reply_try_timeout(self.stream, is_duration=is_duration)

    # --- the end ---

    def _drop_connection(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.reset()
            upstream_send.count_wire(self.stream, connection)
            self._connection = None

    def abandon(self) -> None:
        """The stream answers by itself: nothing from the upstream counts any more."""
        self._is_done = True
        self._drop_connection()
        if self._pool is not None:
            self._pool.cancel(self)
            self._pool = None

    def finish(self) -> None:
        """The stream has ended: what tells the upstream so is not in the log any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            upstream_send.count_wire(self.stream, connection)
            connection.reset()
        if self._pool is not None or not self._is_done:
            self.abandon()
        if self._mirrors:
            end_mirrors(self._mirrors, is_complete=False)
        if self._retry is not None:
            self._retry.stop()
        if self._timeouts is not None:
            self._timeouts.stop()
        self._retry = self._timeouts = None  # they know us: the garbage collector would cost 3 µs a request
