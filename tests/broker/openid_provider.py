"""A provider of OpenID Connect in this process, for tests: it signs in whom a test says, and errs where it says so."""

import base64
import hashlib
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ISSUER = "https://id.example"


@cache
def make_rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@dataclass
class FakeProvider:
    """`claims` are what its next token says, over what a good one says; `signs_with` is the key that signs it."""

    claims: dict[str, Any] = field(default_factory=dict)
    kid: str = "one"
    signs_with: str = "one"
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    redeemed: list[dict[str, str]] = field(default_factory=list)
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        routes = [
            Route("/.well-known/openid-configuration", self._discover),
            Route("/keys", self._list_keys),
            Route("/token", self._give_token, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _discover(self, _request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            }
        )

    async def _list_keys(self, _request: Request) -> JSONResponse:
        return JSONResponse(KeySet([make_rsa_key(self.kid)]).as_dict(private=False))

    def authorize(self, address: str) -> dict[str, str]:
        """Let somebody in who was sent to an address here; returns what the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = hashlib.sha256(asked["state"].encode()).hexdigest()
        self.asked[code] = asked
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    async def _give_token(self, request: Request) -> JSONResponse:
        """Give a token for a code, once, to who has the verifier of its challenge."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self.asked.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.redeemed.append(form)
        now = int(time.time())
        good = {
            "iss": ISSUER, "aud": "broker", "sub": "s-1", "iat": now, "exp": now + 60, "nonce": asked["nonce"],
            "email": "lin@acme.example", "email_verified": True,
        }  # fmt: skip
        told = {name: value for name, value in (good | self.claims).items() if value is not None}
        key = make_rsa_key(self.signs_with)
        token = jwt.encode({"alg": "RS256", "kid": self.kid}, told, key)
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": token})
