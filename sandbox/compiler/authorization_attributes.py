"""The attributes of authorization rules as RBAC matchers, one function each.

Source: Istio pilot/pkg/security/authz/model/generator.go and authz/matcher.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.plan import filter_names
from sandbox.plan.base import CidrRange, HeaderMatcher, RegexMatcher, StringMatcher, TypedExtensionConfig
from sandbox.plan.rbac import (
    Authenticated,
    ListMatcher,
    MetadataMatcher,
    OrMatcher,
    PathMatcher,
    PathSegment,
    Permission,
    Principal,
    PrincipalSet,
    UriTemplateMatchConfig,
    ValueMatcher,
)

SPIFFE_PREFIX = "spiffe://"
JWT_PAYLOAD = "payload"

EXPERIMENTAL_METADATA = "experimental.envoy.filters."
REQUEST_HEADERS = "request.headers"
REQUEST_CLAIMS = "request.auth.claims"

_REGEX_SPECIALS = frozenset("\\.+*?()|[]{}^$")


class NotExpressible(ValueError):
    """A value that cannot become a matcher here: malformed, or HTTP only on a TCP chain."""


@dataclass(frozen=True, slots=True)
class Term:
    """Where a value stands: its attribute's key, and the namespace of the policy."""

    key: str
    policy_namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """How one attribute is matched: each value by itself (``one``), or all values at once (``every``)."""

    side: Literal["permission", "principal"]
    http_only: bool = False
    one: Callable[[Term, str], Permission | Principal] | None = None
    every: Callable[[Term, tuple[str, ...]], Permission | Principal] | None = None


def quote_regex(text: str) -> str:
    """The text as a literal in RE2, spelled as Go's ``regexp.QuoteMeta`` does."""
    return "".join(f"\\{character}" if character in _REGEX_SPECIALS else character for character in text)


def string_matcher(value: str, prefix: str = "") -> StringMatcher:
    """Istio's four forms of a value: ``*`` anything, ``*x`` suffix, ``x*`` prefix, ``x`` exact."""
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        rest = value.removeprefix("*")
        return _regex(f"{prefix}.*{quote_regex(rest)}") if prefix else StringMatcher(suffix=rest)
    if value.endswith("*"):
        return StringMatcher(prefix=prefix + value.removesuffix("*"))
    return StringMatcher(exact=prefix + value)


def _regex(pattern: str) -> StringMatcher:
    return StringMatcher(safe_regex=RegexMatcher(regex=pattern))


def header_matcher(name: str, value: str, *, ignore_case: bool = False) -> HeaderMatcher:
    """A header against one value; ``*`` asks for presence only."""
    if value == "*":
        return HeaderMatcher(name=name, present_match=True)
    if value.startswith("*"):
        text = StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    elif value.endswith("*"):
        text = StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    else:
        text = StringMatcher(exact=value, ignore_case=ignore_case)
    return HeaderMatcher(name=name, string_match=text)


def cidr_range(value: str) -> CidrRange:
    """An address or a CIDR; the bits behind the prefix stay as written."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError as error:
        raise NotExpressible(str(error)) from error
    return CidrRange(address_prefix=str(interface.ip), prefix_len=interface.network.prefixlen)


def _authenticated(name: StringMatcher) -> Principal:
    return Principal(authenticated=Authenticated(principal_name=name))


# --- permissions ---


def _destination_ip(_term: Term, value: str) -> Permission:
    return Permission(destination_ip=cidr_range(value))


def _destination_port(_term: Term, value: str) -> Permission:
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        raise NotExpressible(f"invalid port {value}")
    return Permission(destination_port=int(value))


def _connection_sni(_term: Term, value: str) -> Permission:
    return Permission(requested_server_name=string_matcher(value))


def _host(_term: Term, value: str) -> Permission:
    return Permission(header=header_matcher(":authority", value, ignore_case=True))


def _method(_term: Term, value: str) -> Permission:
    return Permission(header=header_matcher(":method", value))


def _path(_term: Term, value: str) -> Permission:
    if "{*}" in value or "{**}" in value:
        template = value.replace("{**}", "**").replace("{*}", "*")
        config = TypedExtensionConfig(name="uri-template", typed_config=UriTemplateMatchConfig(path_template=template))
        return Permission(uri_template=config)
    return Permission(url_path=PathMatcher(path=string_matcher(value)))


def _envoy_metadata(term: Term, values: tuple[str, ...]) -> Permission:
    name, bracket, key = term.key.removeprefix("experimental.").removesuffix("]").partition("[")
    if not bracket:
        raise NotExpressible(f"invalid key: {term.key}")
    return Permission(
        metadata=MetadataMatcher(
            filter=name, path=(PathSegment(key=key),), value=_either(tuple(map(_metadata_value, values)))
        )
    )


def _metadata_value(value: str) -> ValueMatcher:
    if value.startswith("[") and value.endswith("]"):
        item = ValueMatcher(string_match=string_matcher(value.strip("[]")))
        return ValueMatcher(list_match=ListMatcher(one_of=item))
    return ValueMatcher(string_match=string_matcher(value))


def _either(matchers: tuple[ValueMatcher, ...]) -> ValueMatcher:
    return matchers[0] if len(matchers) == 1 else ValueMatcher(or_match=OrMatcher(value_matchers=matchers))


# --- principals ---


def _source_ip(_term: Term, value: str) -> Principal:
    return Principal(direct_remote_ip=cidr_range(value))


def _remote_ip(_term: Term, value: str) -> Principal:
    return Principal(remote_ip=cidr_range(value))


def _source_namespace(_term: Term, value: str) -> Principal:
    pattern = ".*".join(quote_regex(part) for part in value.split("*"))
    return _authenticated(_regex(f".*/ns/{pattern}/.*"))


def _source_service_account(term: Term, value: str) -> Principal:
    namespace, slash, account = value.partition("/")
    if not slash:
        namespace, account = term.policy_namespace, value
    pattern = f"spiffe://.+/ns/{quote_regex(namespace)}/(.+/|)sa/{quote_regex(account)}(/.+)?"
    return _authenticated(_regex(pattern))


def _source_trust_domain(_term: Term, value: str) -> Principal:
    if value == "*":
        return _authenticated(StringMatcher(prefix=SPIFFE_PREFIX))
    if "*" not in value:
        return _authenticated(StringMatcher(prefix=f"{SPIFFE_PREFIX}{value}/"))
    before, _, after = value.partition("*")
    return _authenticated(_regex(f"{SPIFFE_PREFIX}{quote_regex(before)}[^/]*{quote_regex(after)}/.*"))


def _source_principal(_term: Term, value: str) -> Principal:
    return _authenticated(string_matcher(value, SPIFFE_PREFIX))


def _request_header(term: Term, value: str) -> Principal:
    return Principal(header=header_matcher(_name_in_brackets(term.key.removeprefix(REQUEST_HEADERS)), value))


def _request_principals(_term: Term, values: tuple[str, ...]) -> Principal:
    pairs = tuple(map(_issuer_and_subject, values))
    return pairs[0] if len(pairs) == 1 else Principal(or_ids=PrincipalSet(ids=pairs))


def _issuer_and_subject(value: str) -> Principal:
    issuer, subject = _issuer_matcher(value)
    ids = (
        Principal(metadata=_jwt_claim("iss", ValueMatcher(string_match=issuer))),
        Principal(metadata=_jwt_claim("sub", ValueMatcher(string_match=subject))),
    )
    return Principal(and_ids=PrincipalSet(ids=ids))


def _issuer_matcher(value: str) -> tuple[StringMatcher, StringMatcher]:
    """Matchers of issuer and subject; an issuer may itself be a URL, so the last ``/`` parts them."""
    anything = _regex(".+")
    issuer, slash, subject = value.rpartition("/") if "/" in value else (value, "", "")
    if value == "*":
        return anything, anything
    if value.startswith("*"):
        if not slash:
            return anything, StringMatcher(suffix=value.removeprefix("*"))
        start = anything if issuer == "*" else StringMatcher(suffix=issuer.removeprefix("*"))
        return start, StringMatcher(exact=subject)
    if value.endswith("*"):
        if not slash:
            return StringMatcher(prefix=value.removesuffix("*")), anything
        end = anything if subject == "*" else StringMatcher(prefix=subject.removesuffix("*"))
        return StringMatcher(exact=issuer), end
    return StringMatcher(exact=issuer), StringMatcher(exact=subject)


def _request_audiences(_term: Term, values: tuple[str, ...]) -> Principal:
    return Principal(metadata=_jwt_list(("aud",), values))


def _request_presenter(_term: Term, values: tuple[str, ...]) -> Principal:
    return Principal(metadata=_jwt_list(("azp",), values))


def _request_claims(term: Term, values: tuple[str, ...]) -> Principal:
    return Principal(metadata=_jwt_list(_names_in_brackets(term.key.removeprefix(REQUEST_CLAIMS)), values))


def _jwt_claim(claim: str, value: ValueMatcher) -> MetadataMatcher:
    return MetadataMatcher(
        filter=filter_names.JWT_AUTHN, path=(PathSegment(key=JWT_PAYLOAD), PathSegment(key=claim)), value=value
    )


def _jwt_list(claims: tuple[str, ...], values: tuple[str, ...]) -> MetadataMatcher:
    """A claim that is one string or a list of them."""
    value = _either(tuple(ValueMatcher(string_match=string_matcher(text)) for text in values))
    both = ValueMatcher(
        or_match=OrMatcher(value_matchers=(ValueMatcher(list_match=ListMatcher(one_of=value)), value)),
    )
    path = (PathSegment(key=JWT_PAYLOAD), *(PathSegment(key=claim) for claim in claims))
    return MetadataMatcher(filter=filter_names.JWT_AUTHN, path=path, value=both)


def _name_in_brackets(text: str) -> str:
    if not (text.startswith("[") and text.endswith("]")):
        raise NotExpressible(f"expecting format [<NAME>], but found {text}")
    return text.removesuffix("]").removeprefix("[")


def _names_in_brackets(text: str) -> tuple[str, ...]:
    """``[a][b]`` as ``a``, ``b``; what is not so nested is one name in brackets."""
    names: list[str] = []
    rest = text
    while rest:
        name, closing, after = rest.removeprefix("[").partition("]")
        if not rest.startswith("[") or not closing or "[" in name:
            return (_name_in_brackets(text),)
        names.append(name)
        rest = after
    return tuple(names)


HOST = Attribute(side="permission", http_only=True, one=_host)
METHOD = Attribute(side="permission", http_only=True, one=_method)
PATH = Attribute(side="permission", http_only=True, one=_path)

ATTRIBUTES: dict[str, Attribute] = {
    "destination.ip": Attribute(side="permission", one=_destination_ip),
    "destination.port": Attribute(side="permission", one=_destination_port),
    "connection.sni": Attribute(side="permission", one=_connection_sni),
    "source.ip": Attribute(side="principal", one=_source_ip),
    "remote.ip": Attribute(side="principal", one=_remote_ip),
    "source.namespace": Attribute(side="principal", one=_source_namespace),
    "source.trustDomain": Attribute(side="principal", one=_source_trust_domain),
    "source.serviceAccount": Attribute(side="principal", one=_source_service_account),
    "source.principal": Attribute(side="principal", one=_source_principal),
    "request.auth.principal": Attribute(side="principal", http_only=True, every=_request_principals),
    "request.auth.audiences": Attribute(side="principal", http_only=True, every=_request_audiences),
    "request.auth.presenter": Attribute(side="principal", http_only=True, every=_request_presenter),
}

_BY_PREFIX: tuple[tuple[str, Attribute], ...] = (
    (EXPERIMENTAL_METADATA, Attribute(side="permission", every=_envoy_metadata)),
    (REQUEST_HEADERS, Attribute(side="principal", http_only=True, one=_request_header)),
    (REQUEST_CLAIMS, Attribute(side="principal", http_only=True, every=_request_claims)),
)


def attribute_of(key: str) -> Attribute | None:
    """The attribute that a condition's key names, or None where Istio does not know it."""
    if key in ATTRIBUTES:
        return ATTRIBUTES[key]
    return next((attribute for prefix, attribute in _BY_PREFIX if key.startswith(prefix)), None)
