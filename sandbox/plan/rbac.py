"""Authorization as Envoy's RBAC filters carry it (``envoy.config.rbac.v3``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import CidrRange, Extension, HeaderMatcher, StringMatcher, TypedExtensionConfig
from sandbox.plan.because import Because, because_field


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMatcher:
    """``envoy.type.matcher.v3.PathMatcher``."""

    path: StringMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSegment:
    """A step of ``MetadataMatcher`` into a structure."""

    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMatcher:
    """``envoy.type.matcher.v3.ListMatcher``."""

    one_of: ValueMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMatcher:
    """``envoy.type.matcher.v3.ValueMatcher``: exactly one is set."""

    string_match: StringMatcher | None = None
    bool_match: bool | None = None
    present_match: bool | None = None
    list_match: ListMatcher | None = None
    or_match: OrMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrMatcher:
    """``envoy.type.matcher.v3.OrMatcher``."""

    value_matchers: tuple[ValueMatcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataMatcher:
    """``envoy.type.matcher.v3.MetadataMatcher``."""

    filter: str = ""
    path: tuple[PathSegment, ...] = ()
    value: ValueMatcher | None = None
    invert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterStateMatcher:
    """``envoy.type.matcher.v3.FilterStateMatcher``."""

    key: str = ""
    string_match: StringMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UriTemplateMatchConfig(Extension):
    """``envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig``."""

    TYPE: ClassVar[str] = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"

    path_template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionSet:
    """``Permission.Set``."""

    rules: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """``Permission``: exactly one is set."""

    any: bool | None = None
    and_rules: PermissionSet | None = None
    or_rules: PermissionSet | None = None
    not_rule: Permission | None = None
    header: HeaderMatcher | None = None
    url_path: PathMatcher | None = None
    destination_ip: CidrRange | None = None
    destination_port: int | None = None
    requested_server_name: StringMatcher | None = None
    metadata: MetadataMatcher | None = None
    uri_template: TypedExtensionConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalSet:
    """``Principal.Set``."""

    ids: tuple[Principal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """``Principal.Authenticated``."""

    principal_name: StringMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """``Principal``: exactly one is set."""

    any: bool | None = None
    and_ids: PrincipalSet | None = None
    or_ids: PrincipalSet | None = None
    not_id: Principal | None = None
    authenticated: Authenticated | None = None
    direct_remote_ip: CidrRange | None = None
    remote_ip: CidrRange | None = None
    header: HeaderMatcher | None = None
    metadata: MetadataMatcher | None = None
    filter_state: FilterStateMatcher | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``Policy``: any permission and any principal."""

    permissions: tuple[Permission, ...] = ()
    principals: tuple[Principal, ...] = ()
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``envoy.config.rbac.v3.RBAC``: action is ALLOW, DENY or LOG."""

    action: str = "ALLOW"
    policies: Mapping[str, Policy] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRbac(Extension):
    """``envoy.extensions.filters.http.rbac.v3.RBAC``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.http.rbac.v3.RBAC"

    rules: Rules | None = None
    rules_stat_prefix: str = ""
    shadow_rules: Rules | None = None
    shadow_rules_stat_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRbac(Extension):
    """``envoy.extensions.filters.network.rbac.v3.RBAC``."""

    TYPE: ClassVar[str] = "envoy.extensions.filters.network.rbac.v3.RBAC"

    rules: Rules | None = None
    shadow_rules: Rules | None = None
    shadow_rules_stat_prefix: str = ""
    stat_prefix: str = ""
