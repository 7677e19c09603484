"""AuthorizationPolicy and its rules."""

from __future__ import annotations

from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.selector import PolicyTargetReference, WorkloadSelector

AuthorizationAction = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]
"""``istio.security.v1beta1.AuthorizationPolicy.Action``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationProvider(Message):
    """The external authorizer of a CUSTOM policy, by its name in the mesh configuration.

    ``istio.security.v1beta1.AuthorizationPolicy.ExtensionProvider``
    """

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Message):
    """``istio.security.v1beta1.Condition``: an attribute and its values."""

    key: str = ""
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Message):
    """``istio.security.v1beta1.Source``: where a request comes from."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Message):
    """``istio.security.v1beta1.Rule.From``: one source; several are alternatives."""

    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Message):
    """``istio.security.v1beta1.Operation``: what a request does."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class To(Message):
    """``istio.security.v1beta1.Rule.To``: one operation; several are alternatives."""

    operation: Operation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Message):
    """``istio.security.v1beta1.Rule``: from, to and when must all hold."""

    from_: tuple[From, ...] = ()
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationPolicy(Message):
    """``istio.security.v1beta1.AuthorizationPolicy``: who may do what."""

    selector: WorkloadSelector | None = None
    targetRef: PolicyTargetReference | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    rules: tuple[Rule, ...] = ()
    action: AuthorizationAction = "ALLOW"
    provider: AuthorizationProvider | None = None
