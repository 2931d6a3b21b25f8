"""A small OpenID provider: real HTTP, real keys, PKCE and codes that work once; what a test wants wrong, it changes."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.harness import Clock
from tocsin.web.server import listen

CLIENT, SECRET = "tocsin", "s3cr3t & more+"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """`claims` come over the standard ones (None leaves one out); `sign` makes the token of the claims."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.url = ""
        self.keys: dict[str, tuple[PrivateKeyTypes, str]] = {"k1": (RSA, "RS256")}
        self.kid = "k1"
        self.claims: dict[str, Any] = {}
        self.answer: dict[str, str] = {}
        self.configuration: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.problems: list[str] = []

    # What it is asked over HTTP.

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self.said())
        if request.path == "/keys":
            return web.json_response({"keys": self.published()})
        if request.path == "/token" and request.method == "POST":
            return self.token(request.headers.get("authorization", ""), (await request.read()).decode())
        return web.Response(status=404)

    def said(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        } | self.configuration

    def published(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for kid, (key, algorithm) in self.keys.items():
            kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            public = json.loads(kind.to_jwk(key.public_key()))  # type: ignore[arg-type]
            found.append(public | {"kid": kid, "alg": algorithm, "use": "sig"})
        return found

    def token(self, authorization: str, body: str) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        asked = self.codes.pop(form.get("code", ""), None)
        if [unquote_plus(part) for part in pair] != [CLIENT, SECRET]:
            self.problems.append("client")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None:
            self.problems.append("code")
        elif (asked["code_challenge"], asked["redirect_uri"]) != (
            challenge.rstrip(b"=").decode(),
            form["redirect_uri"],
        ):
            self.problems.append("verifier or redirect_uri")
        if self.problems:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert asked is not None
        return web.json_response({"token_type": "Bearer", "access_token": "x", "id_token": self.sign(self.made(asked))})

    # What it says.

    def made(self, asked: dict[str, str]) -> dict[str, Any]:
        now_s = int(self.clock.now_s)
        standard = {
            "iss": self.url,
            "sub": "subject-1",
            "aud": CLIENT,
            "exp": now_s + 300,
            "iat": now_s,
            "nonce": asked.get("nonce"),
            "email": "mia@example.com",
            "email_verified": True,
            "name": "Mia",
        }
        return {name: value for name, value in (standard | self.claims).items() if value is not None}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        key, algorithm = self.keys[self.kid]
        return jwt.encode(claims, key, algorithm, {"kid": self.kid} | header)  # type: ignore[arg-type]

    def signed_as(self, key: Any, algorithm: str, kid: str = "k1") -> Callable[[dict[str, Any]], str]:
        """With another key or algorithm than it publishes. PyJWT refuses HMAC with a public key; this does not."""

        def sign(claims: dict[str, Any]) -> str:
            if algorithm != "HS256":
                return jwt.encode(claims, key, algorithm, {"kid": kid})
            said = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(claims)}"
            return f"{said}.{encoded(hmac.digest(key, said.encode(), 'sha256'))}"

        return sign

    def authorize(self, location: str) -> str:
        """What the browser does at the issuer: the person agrees. Returns where the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert location.startswith(f"{self.url}/authorize?")
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        assert {"openid", "email"} <= set(asked["scope"].split())
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"]} | self.answer
        return f"{urlsplit(asked['redirect_uri']).path}?{urlencode({k: v for k, v in back.items() if v})}"


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: dict[str, Any]) -> str:
    return encoded(json.dumps(value).encode())


@asynccontextmanager
async def issuing(clock: Clock) -> AsyncIterator[Issuer]:
    issuer = Issuer(clock)
    runner = web.ServerRunner(web.Server(issuer.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    listening = listen("127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    await web.SockSite(runner, listening).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()
