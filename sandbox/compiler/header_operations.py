"""Header operations of VirtualServices as Envoy's (Istio route.go ``TranslateHeadersOperations``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.headers import HeaderOperations, Headers
from sandbox.plan.base import HeaderValue, HeaderValueOption

_OVERWRITE: Final = "OVERWRITE_IF_EXISTS_OR_ADD"
_APPEND: Final = "APPEND_IF_EXISTS_OR_ADD"
_NONE: Final = HeaderOperations()


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedHeaders:
    """What is added and removed; ``authority`` is the host rewrite that setting ``host`` amounts to."""

    request_headers_to_add: tuple[HeaderValueOption, ...] = ()
    request_headers_to_remove: tuple[str, ...] = ()
    response_headers_to_add: tuple[HeaderValueOption, ...] = ()
    response_headers_to_remove: tuple[str, ...] = ()
    authority: str = ""


NO_HEADERS: Final = TranslatedHeaders()


def translate_headers(headers: Headers | None) -> TranslatedHeaders:
    """All ``set`` before all ``add``, each by name; pseudo headers and ``host`` cannot be changed as headers."""
    if headers is None:
        return NO_HEADERS
    request, response = headers.request or _NONE, headers.response or _NONE
    return TranslatedHeaders(
        request_headers_to_add=(*_options(request.set, _OVERWRITE), *_options(request.add, _APPEND)),
        request_headers_to_remove=_removable(request.remove),
        response_headers_to_add=(*_options(response.set, _OVERWRITE), *_options(response.add, _APPEND)),
        response_headers_to_remove=_removable(response.remove),
        authority=_authority(request.set) or _authority(request.add),
    )


def _options(headers: Mapping[str, str], action: str) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header=HeaderValue(key=key, value=headers[key]), append_action=action)
        for key in sorted(headers)
        if not _internal(key)
    ]


def _removable(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not _internal(name))


def _internal(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"


def _authority(headers: Mapping[str, str]) -> str:
    return next((value for key, value in headers.items() if key.lower() in (":authority", "host")), "")
