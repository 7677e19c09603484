"""Who may send what where: the filters of a connection manager that refuse HTTP requests, and RBAC's among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from sandbox.frozen_dataclass import dataclass
from sandbox.match.rbac import AccessRules, denial_details, verdict_metadata
from sandbox.plan import filter_names

if TYPE_CHECKING:
    from sandbox.match.facts import RequestFacts
    from sandbox.plan.http_connection_manager import HttpConnectionManager
    from sandbox.plan.rbac import HttpRbac
    from sandbox.proxy.http_stream import HttpStream
    from sandbox.wire.http_message import Header

REFUSAL = b"RBAC: access denied"
"""Where verdicts are told, those of dry runs too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The answer to a request that is refused."""

    status: int
    body: bytes
    details: str
    headers: tuple[Header, ...] = ()


class AccessFilter(Protocol):
    """A filter that may refuse a request."""

    def refusal(self, stream: HttpStream, request: RequestFacts) -> Denial | None:
        """``None`` lets the request through."""


class RbacFilter:
    """``envoy.filters.http.rbac``."""

    __slots__ = ("_dry_run", "_dry_run_prefix", "_rules")

    def __init__(self, plan: HttpRbac) -> None:
        self._rules = None if plan.rules is None else AccessRules(plan.rules)
        self._dry_run = None if plan.shadow_rules is None else AccessRules(plan.shadow_rules)
        self._dry_run_prefix = f"{plan.shadow_rules_stat_prefix}shadow_"

    def refusal(self, stream: HttpStream, request: RequestFacts) -> Denial | None:
        """A 403; ``None`` lets the request through."""
        from sandbox.proxy.filter_chain import access_facts  # the chain knows us

        facts = access_facts(stream.codec.connection)
        facts.request = request
        remote = stream.info.downstream_remote_address
        if remote is not None:
            facts.remote_ip = remote.rpartition(":")[0].strip("[]")
        if stream.info.dynamic_metadata is not None:
            facts.metadata = stream.info.dynamic_metadata
        if self._dry_run is not None:
            _tell(stream, verdict_metadata(self._dry_run_prefix, *self._dry_run.judge(facts)))
        if self._rules is None:
            return None
        policy, is_allowed = self._rules.judge(facts)
        _tell(stream, verdict_metadata("enforced_", policy, is_allowed))
        if is_allowed:
            return None
        return Denial(status=403, body=REFUSAL, details=denial_details(policy or "none"))


def _tell(stream: HttpStream, verdict: dict[str, object]) -> None:
    metadata = stream.info.dynamic_metadata
    if metadata is None:
        metadata = stream.info.dynamic_metadata = {}
    metadata.setdefault(filter_names.HTTP_RBAC, {}).update(verdict)


def access_filters(plan: HttpConnectionManager) -> tuple[AccessFilter, ...]:
    """The manager's filters that may refuse, in their order."""
    return tuple(_access_filters(plan))


def _access_filters(plan: HttpConnectionManager) -> Iterator[AccessFilter]:
    from sandbox.plan.http_connection_manager import JwtAuthentication
    from sandbox.plan.rbac import HttpRbac

    for each in plan.http_filters:
        config = each.typed_config
        if isinstance(config, HttpRbac) and (config.rules is not None or config.shadow_rules is not None):
            yield RbacFilter(config)
        elif isinstance(config, JwtAuthentication):
            from sandbox.proxy.http_jwt import JwtFilter  # few gateways read tokens

            yield JwtFilter(config)
