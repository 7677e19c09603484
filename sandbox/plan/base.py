"""Envoy's small shared messages: matchers, percentages, addresses, header operations.

Conventions of every module in this package, which let one generic codec (``sandbox.envoy_config``) translate the plan:

* a class is an Envoy v3 message and is called as there; a field has the proto's snake_case name;
* ``X | None`` is a message or a wrapper (``BoolValue``): ``None`` is absent, ``False`` and ``0`` are said aloud;
  a plain ``bool``, ``int``, ``str`` is a plain proto field, absent at its zero; tuples are ``repeated``,
  mappings are ``map``;
* durations are ``timedelta``; enum values are Envoy's words as ``str``;
* a class with ``TYPE`` is an extension and travels as ``Any`` with its ``@type``;
* a union of messages without ``TYPE`` is a oneof: each member says in ``ONEOF`` under which key it stands;
* ``because`` is ours and never exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexMatcher:
    """``envoy.type.matcher.v3.RegexMatcher``: RE2, the whole text must match."""

    regex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatcher:
    """``envoy.type.matcher.v3.StringMatcher``: exactly one of the patterns is set."""

    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    contains: str | None = None
    safe_regex: RegexMatcher | None = None
    ignore_case: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FractionalPercent:
    """``envoy.type.v3.FractionalPercent``; denominator is HUNDRED, TEN_THOUSAND or MILLION."""

    numerator: int = 0
    denominator: str = "HUNDRED"

    @property
    def share(self) -> float:
        """The fraction as a number between 0 and 1 (more where the numerator exceeds the denominator)."""
        return self.numerator / {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}[self.denominator]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFractionalPercent:
    """``envoy.config.core.v3.RuntimeFractionalPercent``."""

    default_value: FractionalPercent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    """``envoy.type.v3.Percent``: 0 to 100."""

    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDouble:
    """``envoy.config.core.v3.RuntimeDouble``."""

    default_value: float = 0.0
    runtime_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """``envoy.config.core.v3.DataSource``: exactly one is set."""

    filename: str | None = None
    inline_string: str | None = None
    inline_bytes: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketAddress:
    """``envoy.config.core.v3.SocketAddress``."""

    ONEOF: ClassVar[str] = "socket_address"

    address: str = ""
    port_value: int | None = None
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe:
    """``envoy.config.core.v3.Pipe``: a Unix domain socket."""

    ONEOF: ClassVar[str] = "pipe"

    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyInternalAddress:
    """``envoy.config.core.v3.EnvoyInternalAddress``: a listener of the same process, by its name."""

    ONEOF: ClassVar[str] = "envoy_internal_address"

    server_listener_name: str = ""

    @property
    def path(self) -> str:
        """As Envoy prints it."""
        return f"envoy://{self.server_listener_name}/"


Address = SocketAddress | Pipe | EnvoyInternalAddress
"""``envoy.config.core.v3.Address``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CidrRange:
    """``envoy.config.core.v3.CidrRange``."""

    address_prefix: str = ""
    prefix_len: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderValue:
    """``envoy.config.core.v3.HeaderValue``; the value may hold ``%OPERATORS%``."""

    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderValueOption:
    """``envoy.config.core.v3.HeaderValueOption``."""

    header: HeaderValue | None = None
    append_action: str = "APPEND_IF_EXISTS_OR_ADD"
    keep_empty_value: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderMatcher:
    """``envoy.config.route.v3.HeaderMatcher``: one of ``string_match``, ``present_match``."""

    name: str = ""
    string_match: StringMatcher | None = None
    present_match: bool | None = None
    invert_match: bool = False
    treat_missing_header_as_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Locality:
    """``envoy.config.core.v3.Locality``."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """``envoy.config.core.v3.Metadata``: filter name to free structure."""

    filter_metadata: Mapping[str, Mapping[str, object]] | None = None


class Extension:
    """Base of every message that travels as ``Any``; ``TYPE`` is the message's full name."""

    __slots__ = ()
    TYPE: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedExtensionConfig:
    """``envoy.config.core.v3.TypedExtensionConfig``: a name and a typed message."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyGrpc:
    """``envoy.config.core.v3.GrpcService.EnvoyGrpc``."""

    cluster_name: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcService:
    """``envoy.config.core.v3.GrpcService``."""

    envoy_grpc: EnvoyGrpc | None = None
