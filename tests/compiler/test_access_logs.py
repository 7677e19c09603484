"""Access logs out of mesh settings, providers and Telemetry, and settings of connection managers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.plan.access_log import AccessLog, ExpressionFilter, FileAccessLog
from sandbox.plan.http_connection_manager import HttpConnectionManager

from .sidecars import CLIENT, manager, mesh, service_entry, told

ENTRY = service_entry("a.example.com", "80/HTTP")
TO_STDOUT = mesh("accessLogFile: /dev/stdout")


def telemetry(name: str, spec: str, namespace: str = "istio-system") -> str:
    head = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n"
    return f"{head}metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  {spec}\n"


def logs(*documents: str) -> tuple[AccessLog, ...]:
    return manager(told(ENTRY, *documents).chains("0.0.0.0_80")[0]).access_log


def file_of(log: AccessLog) -> FileAccessLog:
    assert isinstance(log.typed_config, FileAccessLog)
    return log.typed_config


def expression(log: AccessLog) -> str | None:
    if log.filter is None or log.filter.extension_filter is None:
        return None
    config = log.filter.extension_filter.typed_config
    assert isinstance(config, ExpressionFilter)
    return config.expression


def test_nothing_is_logged_by_default() -> None:
    assert logs() == ()


def test_the_default_text_format_has_the_name_of_the_route_last() -> None:
    (log,) = logs(TO_STDOUT)
    form = file_of(log).log_format
    assert form is not None
    assert form.text_format_source is not None
    assert form.text_format_source.inline_string is not None
    assert form.text_format_source.inline_string.endswith(" %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n")


def test_a_format_without_line_end_gets_one() -> None:
    (log,) = logs(mesh("accessLogFile: /dev/stdout\naccessLogFormat: '%PROTOCOL% %REQ_WITHOUT_QUERY(:PATH)%'"))
    form = file_of(log).log_format
    assert form is not None
    assert form.text_format_source is not None
    assert form.text_format_source.inline_string == "%PROTOCOL% %REQ_WITHOUT_QUERY(:PATH)%\n"
    assert [formatter.name for formatter in form.formatters] == ["envoy.formatter.req_without_query"]


@pytest.mark.parametrize(
    ("written", "keys"),
    [("", 24), ('{"a": "%PROTOCOL%", "n": {"b": "%DURATION%"}}', 2), ("no json", 24)],
    ids=["default", "own", "unreadable"],
)
def test_a_json_format_keeps_its_keys_or_gives_way_to_the_default(written: str, keys: int) -> None:
    settings = f"accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: '{written}'"
    world = told(ENTRY, mesh(settings))
    form = file_of(manager(world.chains("0.0.0.0_80")[0]).access_log[0]).log_format
    assert form is not None
    assert form.json_format is not None
    assert len(form.json_format) == keys
    assert ("SBX0532" in world.codes) is (written == "no json")


def test_a_telemetry_of_the_workload_replaces_the_filter_of_the_namespace() -> None:
    found = logs(
        telemetry("all", "accessLogging: [{providers: [{name: envoy}], filter: {expression: 'response.code >= 400'}}]"),
        telemetry(
            "mine",
            "{selector: {matchLabels: {app: client}},"
            " accessLogging: [{providers: [{name: envoy}], filter: {expression: 'response.code >= 500'}}]}",
            "default",
        ),
        telemetry("others", "{selector: {matchLabels: {app: other}}, accessLogging: [{disabled: true}]}", "default"),
    )
    assert [expression(log) for log in found] == ["response.code >= 500"]
    assert [reason.what for reason in found[0].because][:2] == ["access log", "access log provider"]


def test_what_is_disabled_for_clients_is_not_logged_what_is_disabled_for_servers_is() -> None:
    on = "{providers: [{name: envoy}]}"
    for_servers = telemetry("t", f"accessLogging: [{on}, {{match: {{mode: SERVER}}, disabled: true}}]")
    for_clients = telemetry("t", f"accessLogging: [{on}, {{match: {{mode: CLIENT}}, disabled: true}}]")
    assert len(logs(for_servers)) == 1
    assert logs(for_clients, TO_STDOUT) == ()


def test_disabling_without_any_provider_leaves_the_meshs_file() -> None:
    assert len(logs(TO_STDOUT, telemetry("t", "accessLogging: [{disabled: true}]"))) == 1


def test_a_provider_nobody_defined_is_told_and_the_meshs_file_is_used() -> None:
    unknown = telemetry("t", "accessLogging: [{providers: [{name: nobody}]}]")
    world = told(ENTRY, TO_STDOUT, unknown)
    assert "SBX0531" in world.codes
    assert len(manager(world.chains("0.0.0.0_80")[0]).access_log) == 1


def test_a_listener_combines_its_own_filter_with_that_of_telemetry() -> None:
    filtered = telemetry("t", "accessLogging: [{providers: [{name: envoy}], filter: {expression: 'true'}}]")
    (log,) = told(filtered).listeners["virtualOutbound"].access_log
    assert log.filter is not None
    assert log.filter.and_filter is not None
    assert len(log.filter.and_filter.filters) == 2
    assert told(filtered, mesh("disableEnvoyListenerLog: true")).listeners["virtualOutbound"].access_log == ()


def settings(*documents: str, client: str = CLIENT) -> HttpConnectionManager:
    return manager(told(ENTRY, *documents, client=client).chains("0.0.0.0_80")[0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("NONE", (False, False, "KEEP_UNCHANGED")),
        ("BASE", (True, False, "KEEP_UNCHANGED")),
        ("MERGE_SLASHES", (True, True, "KEEP_UNCHANGED")),
        ("DECODE_AND_MERGE_SLASHES", (True, True, "UNESCAPE_AND_FORWARD")),
    ],
)
def test_a_mode_of_normalisation_sets_three_fields(mode: str, expected: tuple[bool, bool, str]) -> None:
    found = settings(mesh(f"pathNormalization: {{normalization: {mode}}}"))
    assert (found.normalize_path, found.merge_slashes, found.path_with_escaped_slashes_action) == expected


def test_proxy_headers_are_those_that_the_proxy_config_wants() -> None:
    found = settings(
        mesh(
            "defaultConfig: {proxyHeaders: {server: {disabled: true}, requestId: {disabled: true},"
            " preserveHttp1HeaderCase: true, xForwardedPort: {enabled: true}}}"
        )
    )
    assert found.server_header_transformation == "PASS_THROUGH"
    assert found.generate_request_id is False
    assert found.append_x_forwarded_port is True
    assert found.http_protocol_options is not None
    assert found.http_protocol_options.header_key_format is not None


def test_connection_settings_override_the_mesh() -> None:
    found = settings(
        mesh(
            "defaultConfig:\n"
            "  connectionSettings: {httpStreamIdleTimeout: 9s, httpIdleTimeout: 8s, httpMergeSlashes: true}"
        )
    )
    assert found.stream_idle_timeout == timedelta(seconds=9)
    assert found.merge_slashes is True
    assert found.common_http_protocol_options is not None
    assert found.common_http_protocol_options.idle_timeout == timedelta(seconds=8)


@pytest.mark.parametrize(
    ("document", "percent"),
    [
        (mesh("{}"), 1.0),
        (mesh("defaultConfig: {tracing: {sampling: 25}}"), 25.0),
        (mesh("defaultConfig: {tracing: {sampling: 250}}"), 1.0),
        (mesh("enableTracing: false"), None),
    ],
    ids=["default", "written", "too much", "off"],
)
def test_a_share_of_requests_is_sampled(document: str, percent: float | None) -> None:
    tracing = settings(document).tracing
    sampling = tracing.random_sampling if tracing is not None else None
    assert (None if sampling is None else sampling.value) == percent
