"""Istio's default formats of access logs, and formats users write.

Source: Istio pilot/pkg/model/telemetry_logging.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from sandbox.plan.access_log import ReqWithoutQuery, SubstitutionFormatString
from sandbox.plan.base import DataSource, TypedExtensionConfig

TEXT_FORMAT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)

JSON_FORMAT: Final[Mapping[str, object]] = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}

_REQ_WITHOUT_QUERY: Final = TypedExtensionConfig(
    name="envoy.formatter.req_without_query", typed_config=ReqWithoutQuery()
)


def text_format(text: str, *, omit_empty_values: bool = False) -> SubstitutionFormatString:
    """A text format, or the default one; Istio adds the line's end where it is missing."""
    text = text or TEXT_FORMAT
    return SubstitutionFormatString(
        text_format_source=DataSource(inline_string=text if text.endswith("\n") else f"{text}\n"),
        omit_empty_values=omit_empty_values,
        formatters=formatters(text),
    )


def json_format(
    labels: Mapping[str, object] = JSON_FORMAT, *, omit_empty_values: bool = False
) -> SubstitutionFormatString:
    """A JSON object whose texts are formats."""
    texts = " ".join(value for value in labels.values() if isinstance(value, str))
    return SubstitutionFormatString(
        json_format=labels, omit_empty_values=omit_empty_values, formatters=formatters(texts)
    )


def parse_json_format(text: str) -> Mapping[str, object] | None:
    """The object in ``accessLogFormat``; None where the text is no JSON object."""
    try:
        parsed = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Protobuf's JSON has every key once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(word: str) -> object:
    """``NaN`` and ``Infinity`` are Python's, not JSON's."""
    raise ValueError(word)


def formatters(text: str) -> tuple[TypedExtensionConfig, ...]:
    """The extension that ``%REQ_WITHOUT_QUERY%`` needs."""
    return (_REQ_WITHOUT_QUERY,) if "%REQ_WITHOUT_QUERY" in text else ()
