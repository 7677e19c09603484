"""JSON Web Tokens as Envoy's ``jwt_authn`` reads and checks them, with its words for what is wrong."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sandbox.frozen_dataclass import dataclass

CLOCK_SKEW: Final = 60
SECTIONS: Final = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"

_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: Final[Mapping[str, tuple[str, type[ec.EllipticCurve]]]] = {
    "ES256": ("P-256", ec.SECP256R1),
    "ES384": ("P-384", ec.SECP384R1),
    "ES512": ("P-521", ec.SECP521R1),
}
ALGORITHMS: Final = frozenset(
    {f"{family}{size}" for family in ("RS", "PS", "ES", "HS") for size in _HASHES} | {"EdDSA"}
)


class TokenRefused(Exception):
    """Envoy's words against a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token that could be read; nothing of it is verified yet."""

    algorithm: str
    key_id: str
    payload: Mapping[str, object]
    payload_text: str
    """The second section as it came."""
    signed: bytes
    signature: bytes

    @property
    def issuer(self) -> str:
        """``iss``, empty where there is none."""
        return str(self.payload.get("iss", ""))

    @property
    def audiences(self) -> Sequence[str]:
        """``aud``: one, several, or none."""
        audiences = self.payload.get("aud", [])
        assert isinstance(audiences, str | list)
        return [audiences] if isinstance(audiences, str) else audiences

    def check_times(self, now: float) -> None:
        """Raises ``TokenRefused`` before ``nbf`` and after ``exp``; clocks may differ by a minute."""
        begin, end = self.payload.get("nbf", 0), self.payload.get("exp", 0)
        assert isinstance(begin, int | float)
        assert isinstance(end, int | float)
        if now < int(begin) - CLOCK_SKEW:
            raise TokenRefused("Jwt not yet valid")
        if int(end) and now > int(end) + CLOCK_SKEW:
            raise TokenRefused("Jwt is expired")


def read_token(text: str) -> Token:
    """The token's parts. Raises ``TokenRefused``."""
    sections = [section for section in text.split(".") if section]
    if text.count(".") != 2 or len(sections) != 3:
        raise TokenRefused(SECTIONS)
    header = _section("header", sections[0])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenRefused("Jwt header [alg] field is required and must be a string")
    if algorithm not in ALGORITHMS:
        raise TokenRefused("Jwt header [alg] is not supported")
    key_id = header.get("kid", "")
    if not isinstance(key_id, str):
        raise TokenRefused("Jwt header [kid] field is not a string")
    payload = _section("payload", sections[1])
    _check_claims(payload)
    return Token(
        algorithm=algorithm,
        key_id=key_id,
        payload=payload,
        payload_text=sections[1],
        signed=f"{sections[0]}.{sections[1]}".encode(),
        signature=_decoded("signature", sections[2]),
    )


def _section(name: str, text: str) -> Mapping[str, object]:
    try:
        found = json.loads(_decoded(name, text))
    except (ValueError, RecursionError):  # the latter: nested deeper than anybody reads
        found = None
    if not isinstance(found, dict):
        raise TokenRefused(f"Jwt {name} is an invalid JSON")
    return found


def _decoded(name: str, text: str) -> bytes:
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenRefused(f"Jwt {name} is an invalid Base64url encoded") from None


def _check_claims(payload: Mapping[str, object]) -> None:
    for claim in ("iss", "sub"):
        if not isinstance(payload.get(claim, ""), str):
            raise TokenRefused(f"Jwt payload [{claim}] field is not a string")
    for claim in ("iat", "nbf", "exp"):
        number = payload.get(claim, 0)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TokenRefused(f"Jwt payload [{claim}] field is not an integer")
        if not 0 <= number < 2**63:
            raise TokenRefused(f"Jwt payload [{claim}] field is not a positive 64 bit integer")
    if not isinstance(payload.get("jti", ""), str):
        raise TokenRefused("Jwt payload [jti] field is not a string")
    audiences = payload.get("aud", [])
    several = audiences if isinstance(audiences, list) else [audiences]
    if not all(isinstance(audience, str) for audience in several):
        raise TokenRefused("Jwt payload [aud] field is not a string or string list")


class KeySet:
    """The keys of a JWKS document; keys that cannot be used are left out."""

    __slots__ = ("_keys",)

    def __init__(self, text: str) -> None:
        try:
            document = json.loads(text)
            keys = document["keys"] if isinstance(document, dict) else []
        except (ValueError, KeyError):
            keys = []
        self._keys = [
            (str(key.get("kid", "")), str(key.get("alg", "")), verifier)
            for key in keys
            if isinstance(key, dict) and (verifier := _verifier(key)) is not None
        ]

    def verify(self, token: Token) -> None:
        """Raises ``TokenRefused`` unless one of the keys made the signature."""
        if not self._keys:
            raise TokenRefused("Jwks remote fetch is failed")
        is_matched = False
        for key_id, algorithm, verifies in self._keys:
            if token.key_id and key_id and key_id != token.key_id:
                continue
            if algorithm and algorithm != token.algorithm:
                continue
            is_matched = True
            if verifies(token):
                return
        raise TokenRefused(
            "Jwt verification fails" if is_matched else "Jwks doesn't have key to match kid or alg from Jwt"
        )


def _verifier(key: Mapping[str, object]) -> Callable[[Token], bool] | None:
    fields = {name: value for name, value in key.items() if isinstance(value, str)}
    try:
        match fields.get("kty"):
            case "RSA":
                return _rsa_verifier(fields)
            case "EC":
                return _ec_verifier(fields)
            case "oct":
                return _shared_secret_verifier(_decoded("key", fields["k"]))
            case "OKP":
                return _edwards_verifier(_decoded("key", fields["x"]))
            case _:
                return None
    except (KeyError, ValueError, TokenRefused):
        return None


def _number(text: str) -> int:
    return int.from_bytes(_decoded("key", text), "big")


def _rsa_verifier(fields: Mapping[str, str]) -> Callable[[Token], bool]:
    public = rsa.RSAPublicNumbers(_number(fields["e"]), _number(fields["n"])).public_key()

    def verifies(token: Token) -> bool:
        family, size = token.algorithm[:2], token.algorithm[2:]
        if family not in ("RS", "PS"):
            return False
        digest = _HASHES[size]()
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
        if family == "PS":
            scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return _holds(lambda: public.verify(token.signature, token.signed, scheme, digest))

    return verifies


def _ec_verifier(fields: Mapping[str, str]) -> Callable[[Token], bool]:
    curves = dict(_CURVES.values())
    curve = curves[fields["crv"]]()
    public = ec.EllipticCurvePublicNumbers(_number(fields["x"]), _number(fields["y"]), curve).public_key()
    half = (curve.key_size + 7) // 8

    def verifies(token: Token) -> bool:
        name, _ = _CURVES.get(token.algorithm, ("", None))
        if name != fields["crv"] or len(token.signature) != 2 * half:
            return False
        first, second = (int.from_bytes(part, "big") for part in (token.signature[:half], token.signature[half:]))
        digest = _HASHES[token.algorithm[2:]]()
        return _holds(lambda: public.verify(encode_dss_signature(first, second), token.signed, ec.ECDSA(digest)))

    return verifies


def _shared_secret_verifier(secret: bytes) -> Callable[[Token], bool]:
    def verifies(token: Token) -> bool:
        if not token.algorithm.startswith("HS"):
            return False
        made = hmac.digest(secret, token.signed, f"sha{token.algorithm[2:]}")
        return hmac.compare_digest(made, token.signature)

    return verifies


def _edwards_verifier(public_bytes: bytes) -> Callable[[Token], bool]:
    public = ed25519.Ed25519PublicKey.from_public_bytes(public_bytes)

    def verifies(token: Token) -> bool:
        return token.algorithm == "EdDSA" and _holds(lambda: public.verify(token.signature, token.signed))

    return verifies


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidSignature:
        return False
    return True
