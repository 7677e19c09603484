"""Role-based access control as Envoy's RBAC filters decide it (``source/extensions/filters/common/rbac``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sandbox.match.cidr import Prefix
from sandbox.match.facts import RequestFacts
from sandbox.match.metadata_match import compile_metadata_matcher
from sandbox.match.string_match import compile_header_matcher, compile_string_matcher
from sandbox.plan.base import CidrRange, StringMatcher
from sandbox.plan.rbac import MetadataMatcher, Permission, Policy, Principal, Rules


class AccessFacts:
    """What a policy may look at; ``request`` is ``None`` for a TCP connection (matchers of HTTP then never match)."""

    __slots__ = (
        "destination_ip",
        "destination_port",
        "direct_remote_ip",
        "metadata",
        "principals",
        "remote_ip",
        "request",
        "server_name",
        "state",
    )

    def __init__(self, destination_ip: str, destination_port: int, remote_ip: str) -> None:
        self.destination_ip = destination_ip
        self.destination_port = destination_port
        self.direct_remote_ip = remote_ip
        """The connection's source."""
        self.remote_ip = remote_ip
        """The client's address as ``x-forwarded-for`` may say it."""
        self.server_name = ""
        self.principals: Sequence[str] | None = None
        """Names of the peer's certificate: URI SANs, else DNS SANs, else the subject; ``None`` without mutual TLS."""
        self.request: RequestFacts | None = None
        self.metadata: Mapping[str, Mapping[str, object]] = {}
        """Dynamic metadata by filter."""
        self.state: Mapping[str, str] = {}
        """Filter state by key, e.g. ``io.istio.peer_principal``."""


Predicate = Callable[[AccessFacts], bool]


class AccessRules:
    """Rules made ready: ``decide`` names what refuses, ``match`` the first policy that matches."""

    __slots__ = ("_action", "_policies")

    def __init__(self, rules: Rules) -> None:
        self._action = rules.action
        self._policies = tuple(
            (name, compile_policy(policy)) for name, policy in sorted((rules.policies or {}).items())
        )

    def match(self, facts: AccessFacts) -> str | None:
        """The name of the first policy (in the order of names) that matches."""
        for name, matches in self._policies:
            if matches(facts):
                return name
        return None

    def judge(self, facts: AccessFacts) -> tuple[str | None, bool]:
        """The name of the policy that matches, and whether the call is let through; LOG lets everything through."""
        policy = self.match(facts)
        return policy, self._action == "LOG" or (policy is None) == (self._action == "DENY")

    def decide(self, facts: AccessFacts) -> str | None:
        """``None``: let through; else the name for the details: of the policy that denies, or ``none``."""
        policy, is_allowed = self.judge(facts)
        return None if is_allowed else policy or "none"


def verdict_metadata(prefix: str, policy: str | None, is_allowed: bool) -> dict[str, object]:
    """What an RBAC filter tells of its verdict in dynamic metadata (``rbac_filter.cc``): ``prefix`` is ``enforced_``,
    or ends with ``shadow_`` for a dry run, which decides nothing else."""
    found: dict[str, object] = {} if policy is None else {f"{prefix}effective_policy_id": policy}
    return {**found, f"{prefix}engine_result": "allowed" if is_allowed else "denied"}


def denial_details(policy: str) -> str:
    """How a refusal is written in the log; blanks would break its columns."""
    return f"rbac_access_denied_matched_policy[{policy.replace(' ', '_')}]"


def compile_policy(policy: Policy) -> Predicate:
    """Any permission and any principal."""
    permissions = [compile_permission(each) for each in policy.permissions]
    principals = [compile_principal(each) for each in policy.principals]
    return lambda facts: any(each(facts) for each in permissions) and any(each(facts) for each in principals)


def compile_permission(permission: Permission) -> Predicate:
    """One permission; an empty one matches nothing."""
    match permission:
        case Permission(any=bool(value)):
            return lambda _facts: value
        case Permission(and_rules=rules) if rules is not None:
            return _all(map(compile_permission, rules.rules))
        case Permission(or_rules=rules) if rules is not None:
            return _any(map(compile_permission, rules.rules))
        case Permission(not_rule=rule) if rule is not None:
            return _not(compile_permission(rule))
        case Permission(header=header) if header is not None:
            return _of_request(compile_header_matcher(header))
        case Permission(url_path=path) if path is not None and path.path is not None:
            return _path(path.path)
        case Permission(destination_ip=cidr) if cidr is not None:
            holds = Prefix.of(cidr).holds
            return lambda facts: holds(facts.destination_ip)
        case Permission(destination_port=port) if port is not None:
            return lambda facts: facts.destination_port == port
        case Permission(requested_server_name=name) if name is not None:
            matches = compile_string_matcher(name)
            return lambda facts: matches(facts.server_name.encode())
        case Permission(metadata=metadata) if metadata is not None:
            return _metadata(metadata)
        case Permission(uri_template=template) if template is not None:
            return _template(template.typed_config)
        case _:
            return _never


def compile_principal(principal: Principal) -> Predicate:
    """One principal; an empty one matches nothing."""
    match principal:
        case Principal(any=bool(value)):
            return lambda _facts: value
        case Principal(and_ids=ids) if ids is not None:
            return _all(map(compile_principal, ids.ids))
        case Principal(or_ids=ids) if ids is not None:
            return _any(map(compile_principal, ids.ids))
        case Principal(not_id=identity) if identity is not None:
            return _not(compile_principal(identity))
        case Principal(authenticated=authenticated) if authenticated is not None:
            return _authenticated(authenticated.principal_name)
        case Principal(direct_remote_ip=cidr) if cidr is not None:
            return _address(cidr, lambda facts: facts.direct_remote_ip)
        case Principal(remote_ip=cidr) if cidr is not None:
            return _address(cidr, lambda facts: facts.remote_ip)
        case Principal(header=header) if header is not None:
            return _of_request(compile_header_matcher(header))
        case Principal(metadata=metadata) if metadata is not None:
            return _metadata(metadata)
        case Principal(filter_state=state) if state is not None and state.string_match is not None:
            key, matches = state.key, compile_string_matcher(state.string_match)
            return lambda facts: key in facts.state and matches(facts.state[key].encode())
        case _:
            return _never


def _never(_facts: AccessFacts) -> bool:
    return False


def _all(predicates: Iterable[Predicate]) -> Predicate:
    parts = tuple(predicates)
    return lambda facts: all(part(facts) for part in parts)


def _any(predicates: Iterable[Predicate]) -> Predicate:
    parts = tuple(predicates)
    return lambda facts: any(part(facts) for part in parts)


def _not(predicate: Predicate) -> Predicate:
    return lambda facts: not predicate(facts)


def _of_request(predicate: Callable[[RequestFacts], bool]) -> Predicate:
    return lambda facts: predicate(facts.request or _NO_REQUEST)


_NO_REQUEST = RequestFacts(b"", None, None)


def _path(matcher: StringMatcher) -> Predicate:
    matches = compile_string_matcher(matcher)
    return lambda facts: facts.request is not None and matches(facts.request.bare_path)


def _template(config: object) -> Predicate:
    from sandbox.match.uri_template import compile_uri_template
    from sandbox.plan.rbac import UriTemplateMatchConfig

    if not isinstance(config, UriTemplateMatchConfig):
        return _never
    matches = compile_uri_template(config.path_template)
    return lambda facts: facts.request is not None and matches(facts.request.bare_path)


def _address(cidr: CidrRange, address: Callable[[AccessFacts], str]) -> Predicate:
    holds = Prefix.of(cidr).holds
    return lambda facts: holds(address(facts))


def _authenticated(name: StringMatcher | None) -> Predicate:
    if name is None:
        return lambda facts: facts.principals is not None
    matches = compile_string_matcher(name)
    return lambda facts: any(matches(each.encode()) for each in facts.principals or ())


def _metadata(matcher: MetadataMatcher) -> Predicate:
    matches = compile_metadata_matcher(matcher)
    return lambda facts: matches(facts.metadata)
