"""RequestAuthentication and its JWT rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.selector import PolicyTargetReference, WorkloadSelector

JWTRequirement = Literal["OPTIONAL", "REQUIRED"]
"""``istio.security.v1beta1.JWTRule.JWTRequirement``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimToHeader(Message):
    """``istio.security.v1beta1.ClaimToHeader``: a claim of the token copied into a request header."""

    header: str = ""
    claim: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JWTHeader(Message):
    """``istio.security.v1beta1.JWTHeader``: a header that carries the token, and the text before it."""

    name: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JWTRule(Message):
    """``istio.security.v1beta1.JWTRule``: one issuer of JWTs."""

    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    from_cookies: tuple[str, ...] = ()
    forward_original_token: bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    timeout: timedelta | None = None
    space_delimited_claims: tuple[str, ...] = ()
    presence: JWTRequirement = "OPTIONAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAuthentication(Message):
    """``istio.security.v1beta1.RequestAuthentication``: which JWTs are accepted."""

    selector: WorkloadSelector | None = None
    targetRef: PolicyTargetReference | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()
