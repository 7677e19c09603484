"""HttpConnectionManagerRuntime: a connection manager of the plan, made ready when the plan is loaded."""

from __future__ import annotations

import time
from collections.abc import Container
from email.utils import formatdate
from typing import TYPE_CHECKING

from sandbox.match.route_table import RouteTable
from sandbox.match.virtual_host_table import VirtualHostTable
from sandbox.plan.http_connection_manager import (
    Http1ProtocolOptions,
    HttpProtocolOptionsCommon,
    JwtAuthentication,
    Router,
)
from sandbox.plan.route import RouteConfiguration
from sandbox.proxy.http2_downstream import Http2ServerConnection
from sandbox.proxy.http_access import access_filters
from sandbox.proxy.http_downstream import Http1ServerConnection
from sandbox.proxy.http_request_headers import RequestHeaders
from sandbox.proxy.http_router import RouteOwner, RouteRuntime, seconds
from sandbox.proxy.http_sniffing import SniffingConnection
from sandbox.proxy.http_timeouts import head_limit
from sandbox.wire.headers import set_header
from sandbox.wire.http1_lines import HeadLimits
from sandbox.wire.http1_request_reader import RequestHeadReader
from sandbox.wire.http_path import PathRules

if TYPE_CHECKING:
    import asyncio

    from sandbox.match.facts import RequestFacts
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.plan.route import VirtualHost
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.snapshot import NodeRuntime
    from sandbox.wire.http_message import Header

DEFAULT_STREAM_IDLE_TIMEOUT = 300.0
DEFAULT_IDLE_TIMEOUT = 3600.0
DEFAULT_DRAIN_TIMEOUT = 5.0
DEFAULT_DELAYED_CLOSE_TIMEOUT = 1.0
_DATE_LIFETIME = 0.5
_HIDES_TRANSPORT_FAILURE = "envoy.reloadable_features.hide_transport_failure_reason_in_response_body"


class HttpConnectionManagerRuntime:
    """What all connections of one filter chain share. ``new_protocol`` takes one of them."""

    def __init__(self, plan: HttpConnectionManager, node: NodeRuntime, *, has_tls: bool) -> None:
        self.plan = plan
        self.node = node
        self.has_tls = has_tls
        """Whether its connections are TLS that ends here."""
        self.random = node.random
        self.logger = node.http_logger(plan.access_log)
        self.request_headers = RequestHeaders(plan, node.random)
        formats = [repr(log.typed_config) for log in plan.access_log]
        self.counts_wire = any("WIRE_BYTES" in text or "HEADER_BYTES" in text for text in formats)
        """Whether a log may ask for the sizes of heads and of what went over the wire."""
        self.counts_downstream_wire = self.counts_wire or bool(node.http_meters)
        self.paths = PathRules(bool(plan.normalize_path), plan.merge_slashes, plan.path_with_escaped_slashes_action)
        self.proxy_100_continue = plan.proxy_100_continue
        self.upgrades = frozenset(
            config.upgrade_type.lower().encode() for config in plan.upgrade_configs if config.enabled is not False
        )
        routers = [each.typed_config for each in plan.http_filters if isinstance(each.typed_config, Router)]
        self.suppresses_envoy_headers = any(router.suppress_envoy_headers for router in routers)
        self.transport_failure_in_body = node.plan.runtime.get(_HIDES_TRANSPORT_FAILURE) == "false"
        """Envoy before 1.39 told the transport's failure in the body of a 503."""
        self._protocol_options(plan.http_protocol_options or Http1ProtocolOptions(), plan)
        self._times(plan, plan.common_http_protocol_options or HttpProtocolOptionsCommon())
        self._own_server: Header = (b"server", (plan.server_name or "envoy").encode())
        self._server_mode = plan.server_header_transformation
        self._server = None if self._server_mode == "PASS_THROUGH" else self._own_server
        """For responses that name none."""
        self._via = plan.via.encode()
        self._date: Header = (b"date", b"")
        self._date_until = 0.0
        self.access_filters = access_filters(plan)
        self.reads_tokens = any(isinstance(each.typed_config, JwtAuthentication) for each in plan.http_filters)
        """Then routes may ask for claims, and a request's route is looked for again."""
        self._routes(plan, node)

    def _protocol_options(self, options: Http1ProtocolOptions, plan: HttpConnectionManager) -> None:
        common = plan.common_http_protocol_options or HttpProtocolOptionsCommon()
        limits = HeadLimits(
            max_bytes=(plan.max_request_headers_kb or 60) * 1024,
            max_count=common.max_headers_count or 100,
            underscores=common.headers_with_underscores_action,
            accept_http10=options.accept_http_10,
            allow_absolute_url=options.allow_absolute_url is not False,
            refuses_https=bool(plan.use_remote_address) and plan.xff_num_trusted_hops == 0 and not self.has_tls,
        )
        self.head_limits = limits
        self.head_reader = RequestHeadReader(limits, self.paths)
        self.default_host = options.default_host_for_http_10.encode()
        case = options.header_key_format
        self.keeps_case = case is not None and case.stateful_formatter is not None

    def _times(self, plan: HttpConnectionManager, common: HttpProtocolOptionsCommon) -> None:
        self.idle_timeout = seconds(common.idle_timeout, DEFAULT_IDLE_TIMEOUT)
        self.max_connection_duration = seconds(common.max_connection_duration)
        self.max_stream_duration = seconds(common.max_stream_duration)
        self.stream_idle_timeout = seconds(plan.stream_idle_timeout, DEFAULT_STREAM_IDLE_TIMEOUT)
        self.request_timeout = seconds(plan.request_timeout)
        self.head_limit = head_limit(
            seconds(plan.request_headers_timeout), self.stream_idle_timeout, self.max_stream_duration
        )
        self.drain_timeout = seconds(plan.drain_timeout, DEFAULT_DRAIN_TIMEOUT)
        self.delayed_close_timeout = seconds(plan.delayed_close_timeout, DEFAULT_DELAYED_CLOSE_TIMEOUT)
        self.has_stream_timers = any((self.stream_idle_timeout, self.request_timeout, self.max_stream_duration))

    def _routes(self, plan: HttpConnectionManager, node: NodeRuntime) -> None:
        configuration = plan.route_config
        if configuration is None and plan.rds is not None:
            configuration = node.plan.route_configurations.get(plan.rds.route_config_name)
        self.route_configuration = configuration = configuration or RouteConfiguration()
        self._owner = RouteOwner(plan, configuration, node.clusters, node.header_environment)
        tables = node.shared.get(("virtual hosts", id(configuration)))
        if tables is None:
            # the configuration is kept with its tables: its id stays its own
            tables = (VirtualHostTable(configuration), configuration, {})
            node.shared[("virtual hosts", id(configuration))] = tables
        self.virtual_hosts: VirtualHostTable = tables[0]
        self._route_tables: dict[int, RouteTable] = tables[2]
        self._route_runtimes: dict[int, RouteRuntime] = {}
        self._catch_alls: dict[int, RouteRuntime] = {}
        """Of virtual hosts whose first route takes every path, that one."""

    def find_route(self, virtual_host: VirtualHost | None, facts: RequestFacts) -> RouteRuntime | None:
        """The route of a request, ready for use; ``None`` is 404, flag NR."""
        if virtual_host is None:
            return None
        catch_all = self._catch_alls.get(id(virtual_host))
        if catch_all is not None and facts.path is not None and facts.path[:1] == b"/":
            return catch_all
        table = self._route_tables.get(id(virtual_host))
        if table is None:
            table = self._route_tables[id(virtual_host)] = RouteTable(virtual_host)
        route = table.find(facts)
        if route is None:
            return None
        runtime = self._route_runtimes.get(id(route))
        if runtime is None:
            runtime = self._route_runtimes[id(route)] = RouteRuntime(self._owner, virtual_host, route)
        if route is table.catch_all:
            self._catch_alls[id(virtual_host)] = runtime
        return runtime

    def finish_response(self, headers: list[Header], names: Container[bytes], now: float) -> None:
        """``date`` and ``server``: kept or replaced where they stand, else appended; ``now`` is monotonic."""
        if b"date" not in names:
            if now >= self._date_until:
                self._renew_date(now)
            headers.append(self._date)
        if b"server" not in names:
            if self._server is not None:
                headers.append(self._server)
        elif self._server_mode == "OVERWRITE":
            headers[:] = [self._own_server if name == b"server" else (name, value) for name, value in headers]
        if self._via:
            set_header(headers, b"via", self._via)

    def _renew_date(self, now: float) -> None:
        self._date = b"date", formatdate(time.time(), usegmt=True).encode()
        self._date_until = now + _DATE_LIFETIME

    def new_protocol(self, connection: DownstreamConnection) -> asyncio.Protocol:
        """The protocol of a new connection, whose bytes are still unread."""
        version = self._version(connection)
        if version == "HTTP1":
            return Http1ServerConnection(self, connection)
        if version == "HTTP2":
            return Http2ServerConnection(self, connection)
        return SniffingConnection(
            lambda: Http1ServerConnection(self, connection), lambda: Http2ServerConnection(self, connection)
        )

    def _version(self, connection: DownstreamConnection) -> str:
        """By what the plan says, by ALPN, or by what the inspector saw; else ``AUTO``: the first bytes will tell."""
        if self.plan.codec_type != "AUTO":
            return self.plan.codec_type
        found = (connection.tls.alpn,) if connection.tls is not None else connection.application_protocols
        for name in found:
            if name in ("h2", "h2c"):
                return "HTTP2"
            if name in ("http/1.0", "http/1.1"):
                return "HTTP1"
        return "AUTO"
