"""RequestAuthentications as one jwt_authn filter of a gateway.

Source: Istio pilot/pkg/security/authn/policy_applier.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.compiler.authorization_attributes import JWT_PAYLOAD
from sandbox.compiler.policy_attachment import policies_for
from sandbox.istio.request_authentication import JWTRule
from sandbox.plan import filter_names
from sandbox.plan.base import DataSource
from sandbox.plan.http_connection_manager import (
    ClaimToHeader,
    HttpFilter,
    JwtAuthentication,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    JwtRequirementAllow,
    JwtRequirementList,
    JwtRequirementRule,
    NormalizePayload,
)
from sandbox.plan.route import RouteMatch
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_ALWAYS_SPACE_DELIMITED = ("permission", "scope")

UNFETCHED_JWKS = (
    '{"keys":[{"kty":"RSA","e":"AQAB","n":"'
    "4aEgdq52lyBKhrTXioBHYhhJlHv8QjY4s37ohjv1dHv24wOjDFJ4siEVoNC_knAUdPlUgdZMJCa93wkpt_02jRpNGLJN0-AziSA8"
    "GtqEKzcVRkPCCQGgdmlElVHc80hPoA0tO6GDScSTLiIBF1raCv12gDx8bXNWQ7lMoviDH5PW1aUwgXGg9DbJzkEq2O2X8zcVX1ac"
    "lzhAiPW7YV2gG9aT4-eFJFmj0jGWVCkSPbMiD-ae4NyrMaOtrLpPTaTgg2lEtHjGT1hCXf9YRnC6SlUrCJ372uP5kG-bGwMsrObc"
    "Ce6TDrF0E0dV75r3FpDLyaDVleK42gaZ5BueAJkR6w"
    '"}]}'
)
"""The public half of a discarded key, as istiod gives when it cannot fetch ``jwksUri``: every token fails."""


def build_request_authentication(push: PushContext, proxy: Proxy) -> tuple[HttpFilter, ...]:
    """The jwt_authn filter of a gateway, or nothing where no rule applies."""
    policies = policies_for(push.configuration, "RequestAuthentication", proxy)
    rules = sorted((rule for policy in policies for rule in policy.spec.jwt_rules), key=lambda rule: rule.issuer)
    if not rules:
        return ()
    providers = {f"origins-{index}": _provider(rule, push.problems) for index, rule in enumerate(rules)}
    requirement = JwtRequirementRule(match=RouteMatch(prefix="/"), requires=_requirement(tuple(providers)))
    filter_ = JwtAuthentication(providers=providers, rules=(requirement,), bypass_cors_preflight=True)
    return (HttpFilter(name=filter_names.JWT_AUTHN, typed_config=filter_),)


def _provider(rule: JWTRule, problems: Problems) -> JwtProvider:
    delimited = tuple(sorted({*rule.space_delimited_claims, *_ALWAYS_SPACE_DELIMITED}))
    return JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        local_jwks=DataSource(inline_string=_keys(rule, problems)),
        forward=rule.forward_original_token,
        forward_payload_header=rule.output_payload_to_header,
        from_headers=tuple(JwtHeader(name=place.name, value_prefix=place.prefix) for place in rule.from_headers),
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        payload_in_metadata=JWT_PAYLOAD,
        normalize_payload_in_metadata=NormalizePayload(space_delimited_claims=delimited),
        claim_to_headers=tuple(
            ClaimToHeader(header_name=pair.header, claim_name=pair.claim) for pair in rule.output_claim_to_headers
        ),
        clear_route_cache=True,
    )


def _keys(rule: JWTRule, problems: Problems) -> str:
    if rule.jwks:
        return rule.jwks
    problems.report(
        "SBX0545",
        f'keys are not fetched from "{rule.jwks_uri}": every token of issuer "{rule.issuer}" is refused',
        rule.origin_of("jwks_uri"),
        severity="warning",
        hint="write the keys into jwks",
    )
    return UNFETCHED_JWKS


def _requirement(names: tuple[str, ...]) -> JwtRequirement:
    """A token that is given must be valid; none is fine. With several issuers any one valid token suffices."""
    optional = tuple(_optional(name) for name in names)
    if len(optional) == 1:
        return optional[0]
    every = JwtRequirement(requires_all=JwtRequirementList(requirements=optional))
    either = (*(JwtRequirement(provider_name=name) for name in names), every)
    return JwtRequirement(requires_any=JwtRequirementList(requirements=either))


def _optional(name: str) -> JwtRequirement:
    choices = (JwtRequirement(provider_name=name), JwtRequirement(allow_missing=JwtRequirementAllow()))
    return JwtRequirement(requires_any=JwtRequirementList(requirements=choices))
