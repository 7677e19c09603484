"""Renders recorded access-log lines anew: what one recorded format says of a stream, all the others must say too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.access_log.format import LogEnvironment, compile_line
from sandbox.access_log.stream_info import StreamInfo
from sandbox.compiler.access_log_formats import JSON_FORMAT, TEXT_FORMAT
from sandbox.plan.access_log import SubstitutionFormatString
from sandbox.plan.base import DataSource
from sandbox.plan.listener import FilterChain
from sandbox.plan.route import Route

RECORDINGS = Path(__file__).parents[3] / "shared" / "goldens" / "envoy"
WORLDS = Path(__file__).parents[3] / "shared" / "replay" / "world"

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings do not lie beside the checkout")

_LATER = ("response_code_details", "connection_termination_details")
ASM_JSON = {name: value for name, value in JSON_FORMAT.items() if name not in _LATER} | {
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "trace_id": "%REQ(X-B3-TRACEID)%",
    "istio_policy_status": "%DYNAMIC_METADATA(istio.mixer:status)%",
}
"""Istio's before 1.9, and in the examples of Alibaba Cloud Service Mesh."""
NOT_UTF8 = "\ufffd"
"""How the recordings of text lines show bytes that are not UTF-8: those lines cannot be rebuilt."""


def _mesh_format(world: str) -> str:
    import yaml

    document = yaml.safe_load((WORLDS / world / "mesh.yaml").read_text())
    text: str = document["spec"]["meshConfig"]["accessLogFormat"]
    return text


def _json(fields: Mapping[str, object], *, omit: bool = False) -> SubstitutionFormatString:
    return SubstitutionFormatString(json_format=fields, omit_empty_values=omit)


def _text(text: str) -> SubstitutionFormatString:
    return SubstitutionFormatString(text_format_source=DataSource(inline_string=text))


def _formats() -> dict[str, SubstitutionFormatString]:
    return {
        "istio_json": _json(JSON_FORMAT),
        "asm_json": _json(ASM_JSON),
        "asm_json_omit_empty": _json(ASM_JSON, omit=True),
        "istio_text": _text(TEXT_FORMAT),
        "extra_json": _json(json.loads(_mesh_format("log-operators"))),
        "asm_fields_as_text_template": _text(_mesh_format("log-template") + "\n"),
    }


def _bytes(value: str | None) -> bytes | None:
    """A recorded string as the bytes of the header."""
    return None if value is None else value.encode()


def _stream(istio: dict[str, Any], extra: dict[str, Any], asm: dict[str, Any]) -> StreamInfo:
    start_wall = datetime.fromisoformat(istio["start_time"]).timestamp()
    info = StreamInfo(1000.0, start_wall)
    info.is_http = extra["log_type"] == "DownstreamEnd"
    info.end = 1000.0 + istio["duration"] / 1000
    info.connection_id = extra["conn_id"]
    _fill_request(info, istio, extra, asm)
    _fill_response(info, istio, extra)
    _fill_upstream(info, istio, extra)
    info.downstream_local_address = istio["downstream_local_address"]
    info.downstream_remote_address = istio["downstream_remote_address"]
    info.requested_server_name = istio["requested_server_name"]
    info.downstream_transport_failure_reason = extra["dn_tfr"]
    info.connection_termination_details = istio["connection_termination_details"]
    info.filter_chain = FilterChain(name=extra["filter_chain"] or "")
    return info


def _fill_request(info: StreamInfo, istio: dict[str, Any], extra: dict[str, Any], asm: dict[str, Any]) -> None:
    info.method = _bytes(istio["method"])
    info.path = _bytes(extra["path"])
    info.original_path = _bytes(extra["orig_path"])
    info.authority = _bytes(istio["authority"])
    info.scheme = _bytes(extra["scheme"])
    info.protocol = istio["protocol"]
    named = {"x-forwarded-for": "x_forwarded_for", "user-agent": "user_agent", "x-request-id": "request_id"}
    values = {name: istio[key] for name, key in named.items()} | {"x-b3-traceid": asm["trace_id"]}
    if extra["grpc_status"] is not None:
        values["content-type"] = "application/grpc"
    info.request_headers = [(name.encode(), value.encode()) for name, value in values.items() if value is not None]
    info.request_headers_bytes = extra["dn_hdr_rx"]
    info.wire_bytes_received = extra["dn_wire_rx"]
    info.bytes_received = extra["bytes_rx"]
    info.last_downstream_rx = _moment(extra["req_duration"])


def _fill_response(info: StreamInfo, istio: dict[str, Any], extra: dict[str, Any]) -> None:
    info.response_code = istio["response_code"] or None
    info.response_code_details = istio["response_code_details"]
    info.response_flags = [] if istio["response_flags"] == "-" else istio["response_flags"].split(",")
    headers = {"x-envoy-upstream-service-time": istio["upstream_service_time"], "content-type": extra["resp_ct"]}
    if extra["grpc_num"] is not None:
        headers["grpc-status"] = str(extra["grpc_num"])
    info.response_headers = [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]
    if extra["trailer"] is not None:
        info.response_trailers = [(b"grpc-message", extra["trailer"].encode())]
    info.response_headers_bytes = extra["dn_hdr_tx"]
    info.wire_bytes_sent = extra["dn_wire_tx"]
    info.bytes_sent = extra["bytes_tx"]
    info.first_upstream_rx = _moment(extra["resp_duration"])
    if info.first_upstream_rx is not None and extra["resp_tx_duration"] is not None:
        info.last_downstream_tx = info.first_upstream_rx + extra["resp_tx_duration"] / 1000


def _fill_upstream(info: StreamInfo, istio: dict[str, Any], extra: dict[str, Any]) -> None:
    info.route = Route(name=istio["route_name"] or "")
    info.upstream_cluster_name = istio["upstream_cluster"]
    info.upstream_host = istio["upstream_host"]
    info.upstream_local_address = istio["upstream_local_address"]
    info.upstream_protocol = extra["up_proto"]
    info.upstream_tls_version = extra["up_tls"]
    info.upstream_transport_failure_reason = istio["upstream_transport_failure_reason"]
    info.upstream_request_attempt_count = extra["up_attempts"]
    info.upstream_header_bytes_received = extra["up_hdr_rx"]
    info.upstream_header_bytes_sent = extra["up_hdr_tx"]
    info.upstream_wire_bytes_received = extra["up_wire_rx"]
    info.upstream_wire_bytes_sent = extra["up_wire_tx"]


def _whole(text: str) -> int:
    """``1e+05`` is a count of bytes."""
    return int(float(text))


def _moment(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else 1000.0 + milliseconds / 1000


def _recorded_streams() -> Iterator[tuple[str, StreamInfo, dict[str, str]]]:
    """Name of the recording, the stream rebuilt, and its line in every format."""
    for path in sorted(RECORDINGS.glob("*.json")):
        logs = json.loads(path.read_text()).get("access_log") or {}
        count = {len(lines) for lines in logs.values()}
        if len(count) != 1 or set(logs) < {"istio_json", "extra_json", "asm_json"}:
            continue
        for index in range(count.pop()):
            lines = {key: values[index] for key, values in logs.items()}
            if any(NOT_UTF8 in line for line in lines.values()):
                continue
            istio, extra, asm = (
                json.loads(lines[key], parse_float=_whole) for key in ("istio_json", "extra_json", "asm_json")
            )
            if istio["start_time"] == asm["start_time"] and istio["duration"] == extra["duration"]:
                yield path.stem, _stream(istio, extra, asm), lines


def test_every_format_renders_the_recorded_bytes() -> None:
    functions = {key: compile_line(each, LogEnvironment()) for key, each in _formats().items()}
    different: list[str] = []
    compared = 0
    for name, info, lines in _recorded_streams():
        for key, line in lines.items():
            compared += 1
            rendered = functions[key](info).decode("utf-8", "surrogateescape")
            if rendered != line + "\n":
                different.append(f"{name} {key}\n  recorded {line}\n  rendered {rendered}")
    assert compared > 5000
    assert not different, f"{len(different)} of {compared}\n" + "\n".join(different[:3])
