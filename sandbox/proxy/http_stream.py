"""HttpStream: one request and its response, between a downstream codec and the router."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from sandbox.match.facts import RequestFacts
from sandbox.proxy import http_route_answers as route_answers
from sandbox.proxy.http_local_reply import CODEC_BODIES
from sandbox.proxy.http_response_headers import informational_headers, persistence_of_http10
from sandbox.proxy.http_route_changes import put_header
from sandbox.proxy.http_router_filter import RouterFilter
from sandbox.proxy.http_stream_setup import normalize_path, note_grpc, read_connection_options
from sandbox.proxy.http_timeouts import StreamTimers

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.proxy.http_codec import DownstreamCodec
    from sandbox.proxy.http_faults import Fault
    from sandbox.proxy.http_router import RouteRuntime, Target
    from sandbox.wire.http_message import Header, Refusal, RequestHead, ResponseHead


class HttpStream:
    """A request on its way; the codec calls ``decode_…``, the router ``send_…``."""

    __slots__ = (
        "codec",
        "cors_origin",
        "fault_timer",
        "head",
        "headers",
        "info",
        "is_decoding",
        "is_ended",
        "is_grpc",
        "is_head",
        "is_request_complete",
        "is_upgrade",
        "manager",
        "response_started",
        "route",
        "router",
        "saw_close",
        "target",
        "timers",
        "waiting",
    )

    def __init__(self, codec: DownstreamCodec, start: float, start_wall: float) -> None:
        self.codec = codec
        self.manager = codec.manager
        self.info: StreamInfo = codec.connection.new_stream(start, start_wall)
        self.info.is_http = True
        self.info.protocol = "HTTP/1.1"
        self.head: RequestHead
        self.headers: list[Header] = []
        self.route: RouteRuntime | None = None
        self.target: Target | None = None
        self.router: RouterFilter | None = None
        self.timers: StreamTimers | None = None
        self.waiting: list[bytes] | None = None
        """Payload that came while a fault delays the request."""
        self.fault_timer: asyncio.TimerHandle | None = None
        self.cors_origin: bytes | None = None
        self.is_decoding = self.is_ended = self.is_grpc = self.is_head = False
        self.is_request_complete = self.is_upgrade = self.response_started = self.saw_close = False

    # --- from the codec ---

    def decode_head(self, head: RequestHead, is_end: bool) -> None:
        """The head is in; ``is_end``: there is no body."""
        self.head = head
        self.is_decoding = True
        self._decode(head, is_end)
        self.is_decoding = False

    def _decode(self, head: RequestHead, is_end: bool) -> None:
        info, manager = self.info, self.manager
        info.method = head.method
        info.path = head.path
        info.authority = head.host
        info.request_headers = self.headers = head.headers
        self.is_head = head.method == b"HEAD"
        if b"content-type" in head.index:
            note_grpc(self, head)
        path = head.path
        if head.marked or path is None or not head.is_http11:
            if not head.is_http11:
                info.protocol = "HTTP/1.0"
            read_connection_options(self, head)
        if is_end and not self.is_upgrade:
            self.is_request_complete = True
            info.last_downstream_rx = time.monotonic()
        if manager.has_stream_timers:
            self.timers = StreamTimers.of_manager(self)
        if head.host is None:
            if head.is_http11 or not manager.default_host:
                self.local_reply(400, b"", "missing_host_header")
                return
            head.host = info.authority = manager.default_host
        if path is not None and not head.has_normal_path and not manager.paths.is_normal(path):
            path = normalize_path(self, path)
            if path is None:
                return
        self.headers = manager.request_headers.prepare(head, self.codec.connection, info, self.is_upgrade)
        info.request_headers = self.headers
        info.scheme = head.scheme
        self._find_route(head, path)

    def _find_route(self, head: RequestHead, path: bytes | None) -> None:
        info, manager = self.info, self.manager
        assert head.host is not None
        info.route_configuration = manager.route_configuration
        virtual_host = manager.virtual_hosts.find(head.host)
        tls_only = None
        # Envoy finds no route (and no way to TLS) for a request whose x-forwarded-proto is empty
        is_routable = head.marked.get(b"x-forwarded-proto") != b"" or route_answers.forwarded_proto(self) != b""
        if is_routable and virtual_host is not None and virtual_host.require_tls == "ALL":
            is_routable = route_answers.forwarded_proto(self) == b"https"
            tls_only = None if is_routable else virtual_host
        facts = RequestFacts(head.method, path, head.host, head.scheme or b"http", self.headers)
        route = manager.find_route(virtual_host, facts) if is_routable else None
        if route is not None:
            self._use_route(route)
        is_known = route is not None or tls_only is not None
        if self.is_upgrade and is_known and route_answers.refuses_upgrade(self, head):
            return
        if route is not None and route.decoration is not None:
            put_header(self, route.decoration)
        if manager.access_filters and route_answers.refuses_access(self, facts):
            return
        if manager.reads_tokens and info.dynamic_metadata is not None and is_routable:
            facts.metadata = info.dynamic_metadata
            route = self._choose_again(route, manager.find_route(virtual_host, facts))
        if tls_only is not None:
            route_answers.redirect_to_tls(self, tls_only, path)
            return
        if route is None:
            info.response_flags.append("NR")
            self.local_reply(404, b"", "route_not_found")
            return
        if route.fault is None or not self._delays(route.fault):
            self._pass_filters(route)

    def _use_route(self, route: RouteRuntime) -> None:
        info = self.info
        self.route = route
        info.route = route.plan
        info.virtual_host = route.virtual_host
        if route.is_forwarding:
            self.target = target = route.only_target or route.choose_target(self.manager.random)
            if target.cluster is not None:
                info.cluster = target.cluster.plan
                info.upstream_cluster_name = target.name
        if route.has_stream_timers:
            self.timers = self.timers or StreamTimers(self)
            self.timers.follow(route)

    def _choose_again(self, first: RouteRuntime | None, second: RouteRuntime | None) -> RouteRuntime | None:
        if second is not None and second is not first:
            self._use_route(second)
        elif second is None:
            self.route = self.info.route = self.info.virtual_host = None
        return second

    # --- the filters in front of the router ---

    def _delays(self, fault: Fault) -> bool:
        delay = fault.draw_delay(self.manager.random)
        if delay <= 0:
            return False
        self.info.response_flags.append("DI")
        self.waiting = []
        self.fault_timer = asyncio.get_running_loop().call_later(delay, self._delayed)
        return True

    def _delayed(self) -> None:
        self.fault_timer = None
        if not self.is_ended and self.route is not None:
            self._pass_filters(self.route)

    def _pass_filters(self, route: RouteRuntime) -> None:
        """What stands between a delay and the router."""
        if route.fault is not None and route.fault.draw_abort(self.manager.random):
            self.info.response_flags.append("FI")
            self.local_reply(
                route.fault.status, b"fault filter abort", "fault_filter_abort", grpc_status=route.fault.grpc_status
            )
            return
        if route.cors is not None and route_answers.answers_preflight(self, route):
            return
        if route.is_forwarding:
            self.router = router = RouterFilter(self, route)
            waiting, self.waiting = self.waiting, None
            router.start()
            if waiting is not None:
                self._send_waiting(router, waiting)
        else:
            route_answers.answer_here(self, route)

    def _send_waiting(self, router: RouterFilter, waiting: list[bytes]) -> None:
        for data in waiting:
            if not self.is_ended:
                router.request_data(data)
        if self.is_request_complete and not self.is_ended:
            router.request_end()
        router.flush_request()

    # --- request body ---

    def decode_data(self, data: bytes) -> None:
        """Payload of the request."""
        if self.is_ended:
            return
        self.info.bytes_received += len(data)
        if self.info.grpc_messages is not None:
            self.info.grpc_messages.request.feed(data)
        if self.timers is not None:
            self.timers.touch()
        if self.waiting is not None:
            self.waiting.append(data)
        elif self.router is not None:
            self.router.request_data(data)

    def decode_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; the end follows."""
        if not self.is_ended and self.router is not None:
            self.info.request_trailers = headers
            self.router.request_trailers(headers)

    def decode_end(self) -> None:
        """The request is complete."""
        if self.is_ended:
            return
        self.is_request_complete = True
        self.info.last_downstream_rx = time.monotonic()
        if self.timers is not None:
            self.timers.request_complete()
        if self.waiting is None and self.router is not None:
            self.router.request_end()

    def flush_request(self) -> None:
        """The codec has read what there was: what it brought goes to the upstream now."""
        if self.router is not None:
            self.router.flush_request()

    def downstream_closed(self) -> None:
        """The client is gone."""
        if self.is_ended:
            return
        self.info.response_flags.append("DC")
        self.info.response_code_details = "downstream_remote_disconnect"
        self._end(True)

    def downstream_writable(self, is_writable: bool) -> None:
        """Back-pressure of the client."""
        if self.router is not None:
            self.router.downstream_writable(is_writable)

    def codec_error(self, refusal: Refusal) -> None:
        """The codec cannot go on: a reply where none has begun, and the connection is closed."""
        info = self.info
        if refusal.details == "http1.codec_error" or "DPE" not in info.response_flags:
            info.response_flags.append("DPE")
        info.response_code_details = refusal.details
        self.codec.is_draining = True
        if self.response_started:
            self._end(True)
        else:
            self.local_reply(refusal.status, CODEC_BODIES.get(refusal.status, b""), refusal.details)

    def timed_out(self, status: int, body: bytes, details: str, *, grpc_status: int | None = None) -> None:
        """One of the stream's clocks has run out."""
        if self.is_ended:
            return
        if self.response_started:
            self.info.response_code_details = details
            self._end(True)
        else:
            self.local_reply(status, body, details, grpc_status=grpc_status)

    # --- the response ---

    def local_reply(
        self,
        status: int,
        body: bytes,
        details: str,
        *,
        first: tuple[Header, ...] = (),
        last: Sequence[Header] = (),
        grpc_status: int | None = None,
        is_route_reply: bool = False,
    ) -> None:
        """An answer of our own; whatever goes on upstream is given up."""
        if self.router is not None:
            self.router.abandon()
        if status == 400 and self.codec.is_http1:
            self.saw_close = True  # Envoy takes it for a broken message: whatever follows cannot be trusted
        self.info.response_code_details = details
        reply = route_answers.reply_of(
            self, status, body, first=first, last=last, grpc_status=grpc_status, is_route_reply=is_route_reply
        )
        self.send_head(reply.status, reply.headers, is_end=not reply.body or self.is_head)
        if reply.body and not self.is_head:
            self.send_data(reply.body)
        self.send_end()

    def send_informational(self, head: ResponseHead, names: bytes | None) -> None:
        """A 1xx head of the upstream; ``names``: see ``write_head`` of the codec."""
        if self.manager.proxy_100_continue:
            self.info.response_code = head.status
            self.codec.write_informational(head.status, informational_headers(head), names)

    def send_head(
        self,
        status: int,
        headers: list[Header],
        is_end: bool,
        is_upgraded: bool = False,
        names: bytes | None = None,
        marked: Container[bytes] | None = None,
    ) -> None:
        """The head of the response, still without date, server and framing.

        ``marked`` are the names among ``headers`` that ``MARKED_RESPONSE`` has, where they are known.
        """
        codec, manager, info = self.codec, self.manager, self.info
        if self.route is not None and self.route.cors is not None and self.cors_origin is not None:
            self.route.cors.decorate(self.cors_origin, headers)
        info.first_downstream_tx = now = time.monotonic()
        manager.finish_response(headers, dict(headers) if marked is None else marked, now)
        info.response_code = status
        info.response_headers = headers
        self.response_started = True
        if not self.is_request_complete or self.saw_close or manager.node.draining:
            codec.is_draining = True
        if not is_upgraded:
            if codec.is_draining:
                headers.append((b"connection", b"close"))
            elif codec.is_http1 and info.protocol == "HTTP/1.0":
                headers.append(persistence_of_http10(self, headers, is_end=is_end))
        if self.timers is not None:
            self.timers.touch()
        codec.write_head(self, status, headers, is_end, names)

    def send_data(self, data: bytes) -> None:
        """Payload of the response."""
        self.info.bytes_sent += len(data)
        if self.info.grpc_messages is not None:
            self.info.grpc_messages.response.feed(data)
        if self.timers is not None:
            self.timers.touch()
        self.codec.write_data(data)

    def send_trailers(self, headers: list[Header]) -> None:
        """Fields after the payload; the end follows. HTTP/1 clients do not get them."""
        self.info.response_trailers = headers
        self.codec.write_trailers(headers)

    def send_end(self, now: float | None = None) -> None:
        """The response is complete; ``now`` where the time is known."""
        if self.is_ended:
            return
        self.codec.write_end()
        self._end(False, now)

    def reset(self) -> None:
        """The response breaks off: nothing more is written, the connection is closed a second later."""
        if not self.is_ended:
            self._end(True)

    def _end(self, is_reset: bool, now: float | None = None) -> None:
        self.is_ended = True
        if self.fault_timer is not None:
            self.fault_timer.cancel()
        if self.timers is not None:
            self.timers.stop()
        if self.router is not None:
            self.router.finish()
            self.router = None  # they know each other: without this only the garbage collector would free them
        info = self.info
        info.end = now = time.monotonic() if now is None else now
        if not is_reset:
            info.last_downstream_tx = now
        self.manager.logger.log(info)
        is_complete = self.is_request_complete and not self.is_decoding
        is_immediate = self.saw_close and is_complete
        self.codec.stream_ended(self, is_reset, is_immediate)
