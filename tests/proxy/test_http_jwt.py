"""Tokens of requests: which are refused with which words, as a real Envoy was seen to do, and what good ones leave."""

from __future__ import annotations

import base64
import hmac
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sandbox.match.facts import RequestFacts
from sandbox.plan.base import DataSource
from sandbox.plan.filter_names import JWT_AUTHN
from sandbox.plan.http_connection_manager import (
    ClaimToHeader,
    JwtAuthentication,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    JwtRequirementAllow,
    JwtRequirementList,
    JwtRequirementRule,
    NormalizePayload,
)
from sandbox.proxy.http_access import Denial
from sandbox.proxy.http_jwt import JwtFilter

SECRET = b"a secret of thirty-two characters"
KEY = ec.derive_private_key(20260101, ec.SECP256R1())
CLAIMS: dict[str, Any] = {
    "iss": "one",
    "sub": "me",
    "aud": ["a"],
    "scope": "x y",
    "n": 5,
    "f": 1.5,
    "in": {"side": [1]},
}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def coordinate(number: int) -> str:
    return encoded(number.to_bytes(32, "big"))


NUMBERS = KEY.public_key().public_numbers()
KEYS = json.dumps(
    {
        "keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ec", "x": coordinate(NUMBERS.x), "y": coordinate(NUMBERS.y)},
            {"kty": "oct", "alg": "HS256", "kid": "secret", "k": encoded(SECRET)},
            {"kty": "unknown", "kid": "ignored"},
        ]
    }
)


def token(claims: dict[str, Any] | None = None, key_id: str = "ec", *, secret: bytes = SECRET, **header: object) -> str:
    algorithm = "HS256" if key_id == "secret" else "ES256"
    head = {"alg": algorithm, "kid": key_id, **header}
    payload = {**CLAIMS, "exp": int(time.time()) + 1000, **(claims or {})}
    kept = {name: value for name, value in payload.items() if value is not None}
    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(kept).encode())}"
    if algorithm == "HS256":
        return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"
    first, second = decode_dss_signature(KEY.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"


def provider(issuer: str = "one", **settings: Any) -> JwtProvider:
    normalize = NormalizePayload(space_delimited_claims=("scope",))
    usual: dict[str, Any] = {
        "audiences": ("a", "https://b"),
        "local_jwks": DataSource(inline_string=KEYS),
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": normalize,
    }
    return JwtProvider(issuer=issuer, **{**usual, **settings})


def optional(name: str) -> JwtRequirement:
    allow = JwtRequirement(allow_missing=JwtRequirementAllow())
    return JwtRequirement(requires_any=JwtRequirementList(requirements=(JwtRequirement(provider_name=name), allow)))


def filter_of(*providers: JwtProvider) -> JwtFilter:
    named = {f"origins-{index}": each for index, each in enumerate(providers)}
    requires = optional("origins-0")
    if len(named) > 1:
        every = JwtRequirement(requires_all=JwtRequirementList(requirements=tuple(map(optional, named))))
        either = (*(JwtRequirement(provider_name=name) for name in named), every)
        requires = JwtRequirement(requires_any=JwtRequirementList(requirements=either))
    rules = (JwtRequirementRule(requires=requires),)
    return JwtFilter(JwtAuthentication(providers=named, rules=rules, bypass_cors_preflight=True))


class Sent:
    """A request with these headers, and what the filter made of it."""

    def __init__(self, jwt: JwtFilter, headers: dict[str, str], path: str = "/", method: str = "GET") -> None:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        stream: Any = SimpleNamespace(headers=fields, info=SimpleNamespace(path=path.encode(), dynamic_metadata=None))
        request = RequestFacts(method.encode(), path.encode(), b"svc.example.com", headers=fields)
        self.denial: Denial | None = jwt.refusal(stream, request)
        self.headers = {name.decode(): value.decode() for name, value in stream.headers}
        self.path = stream.info.path.decode()
        self.metadata = (stream.info.dynamic_metadata or {}).get(JWT_AUTHN)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def words(sent: Sent) -> str | None:
    return sent.denial.body.decode() if sent.denial is not None else None


DEEP = base64.urlsafe_b64encode(b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}").decode().rstrip("=")


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        pytest.param({}, None, id="none"),
        pytest.param(bearer(token()), None, id="elliptic curve"),
        pytest.param(bearer(token(key_id="secret")), None, id="shared secret"),
        pytest.param(bearer(token(kid="")), None, id="no key id: every key is tried"),
        pytest.param(
            bearer(token(kid="other")), "Jwks doesn't have key to match kid or alg from Jwt", id="unknown key"
        ),
        pytest.param(bearer(token(key_id="secret", secret=b"x" * 32)), "Jwt verification fails", id="forged"),
        pytest.param(bearer(token({"exp": 1000})), "Jwt is expired", id="expired"),
        pytest.param(bearer(token({"exp": None})), None, id="without end"),
        pytest.param(bearer(token({"nbf": int(time.time()) + 1000})), "Jwt not yet valid", id="not yet"),
        pytest.param(bearer(token({"aud": "b/"})), None, id="audiences without scheme and slash"),
        pytest.param(bearer(token({"aud": "c"})), "Audiences in Jwt are not allowed", id="another audience"),
        pytest.param(bearer(token({"iss": "two"})), "Jwt issuer is not configured", id="another issuer"),
        pytest.param(
            bearer("a.b"), "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections", id="parts"
        ),
        pytest.param(bearer("eHg.e30.eA"), "Jwt header is an invalid JSON", id="header"),
        pytest.param(bearer(f"{DEEP}.e30.eA"), "Jwt header is an invalid JSON", id="a header nested without end"),
        pytest.param(bearer("e30.e30.eA"), "Jwt header [alg] field is required and must be a string", id="alg"),
        pytest.param(bearer(token(alg="none")), "Jwt header [alg] is not supported", id="algorithm none"),
        pytest.param(bearer(token({"sub": 7})), "Jwt payload [sub] field is not a string", id="subject"),
        pytest.param(bearer(token({"exp": "soon"})), "Jwt payload [exp] field is not an integer", id="end"),
        pytest.param({"authorization": "Basic abc"}, None, id="another scheme"),
        pytest.param({"authorization": "bearer nothing"}, None, id="the scheme in lower case is another"),
    ],
)
def test_bad_tokens_are_refused_with_envoys_words(headers: dict[str, str], refused: str | None) -> None:
    assert words(Sent(filter_of(provider()), headers)) == refused


def test_a_token_that_ended_within_the_last_minute_is_good_for_clocks_differ() -> None:
    assert words(Sent(filter_of(provider()), bearer(token({"exp": int(time.time()) - 30})))) is None


def test_a_refusal_says_where_and_why() -> None:
    denial = Sent(filter_of(provider()), bearer(token({"exp": 1000})), path="/p?x=1").denial
    assert denial == Denial(
        status=401,
        body=b"Jwt is expired",
        details="jwt_authn_access_denied{Jwt_is_expired}",
        headers=((b"www-authenticate", b'Bearer realm="http://svc.example.com/p?x=1", error="invalid_token"'),),
    )


def test_a_wrong_audience_is_forbidden() -> None:
    denial = Sent(filter_of(provider()), bearer(token({"aud": "c"}))).denial
    assert denial is not None
    assert denial.status == 403


@pytest.mark.parametrize(
    ("issuer", "refused"),
    [
        pytest.param("one", None, id="the first"),
        pytest.param("two", None, id="the second"),
        pytest.param("three", "Jwt issuer is not configured", id="neither"),
    ],
)
def test_a_token_of_any_issuer_is_enough(issuer: str, refused: str | None) -> None:
    jwt = filter_of(provider("one"), provider("two"))
    assert words(Sent(jwt, bearer(token({"iss": issuer})))) == refused


def test_the_worst_of_several_issuers_words_is_told() -> None:
    jwt = filter_of(provider("one"), provider("two"))
    assert words(Sent(jwt, bearer(token({"exp": 1000})))) == "Jwt is expired"
    assert words(Sent(jwt, {})) is None


def test_a_good_token_leaves_claims_and_goes() -> None:
    claims = (("x-sub", "sub"), ("x-n", "n"), ("x-f", "f"), ("x-in", "in.side"), ("x-none", "none"))
    pairs = tuple(ClaimToHeader(header_name=header, claim_name=claim) for header, claim in claims)
    sent = Sent(filter_of(provider(claim_to_headers=pairs)), bearer(token({"exp": None})))
    assert sent.headers == {"x-sub": "me", "x-n": "5", "x-f": "1.500000", "x-in": "WzFd"}
    assert sent.metadata == {"payload": {**CLAIMS, "scope": ["x", "y"]}}


def test_a_forwarded_token_stays_and_its_payload_is_added() -> None:
    text = token()
    sent = Sent(filter_of(provider(forward=True, forward_payload_header="X-Payload")), bearer(text))
    assert sent.headers == {**bearer(text), "x-payload": text.split(".")[1]}


def test_clients_cannot_say_claims_themselves() -> None:
    pairs = (ClaimToHeader(header_name="x-sub", claim_name="sub"),)
    sent = Sent(filter_of(provider(claim_to_headers=pairs)), {"x-sub": "evil", "x-other": "fine"})
    assert sent.headers == {"x-other": "fine"}


@pytest.mark.parametrize(
    ("settings", "headers", "path", "left"),
    [
        pytest.param({}, {}, "/?access_token={}&z=1", "/?z=1", id="the usual parameter"),
        pytest.param({"from_params": ("t",)}, {}, "/?t={}", "/", id="a parameter"),
        pytest.param({"from_cookies": ("c",)}, {"cookie": "a=b; c={}"}, "/", "/", id="a cookie"),
        pytest.param(
            {"from_headers": (JwtHeader(name="X-Token", value_prefix="jwt "),)},
            {"x-token": "jwt {}"},
            "/",
            "/",
            id="header",
        ),
    ],
)
def test_tokens_are_found_in_their_places(settings: Any, headers: dict[str, str], path: str, left: str) -> None:
    text = token()
    written = {name: value.format(text) for name, value in headers.items()}
    sent = Sent(filter_of(provider(**settings)), written, path.format(text))
    assert sent.denial is None
    assert sent.metadata is not None
    assert sent.path == left


def test_other_places_replace_the_usual_ones() -> None:
    sent = Sent(filter_of(provider(from_params=("t",))), bearer("nonsense"))
    assert sent.denial is None


def test_a_preflight_needs_no_good_token() -> None:
    preflight = {"origin": "http://a", "access-control-request-method": "GET", **bearer("nonsense")}
    assert Sent(filter_of(provider()), preflight, method="OPTIONS").denial is None
