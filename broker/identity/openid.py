"""OpenID Connect as its relying party, by Authlib: where to send somebody to sign in, and who has come back.

The code flow with PKCE, state and nonce. What is to be known again when somebody comes back is sealed and travels with
its browser (`Attempt`); nothing is kept here. Nothing of a provider's answer counts before its signature is checked.
"""

import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2 as httpx

from broker import errors
from broker.config import Settings
from broker.sealing import find_sealed, seal

if TYPE_CHECKING:  # read when somebody first signs in so: they take a tenth of a second of each start
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from joserfc import jwt
    from joserfc.jwk import KeySet

log = logging.getLogger(__name__)

ATTEMPT_LASTS = timedelta(minutes=10)
# Signatures by a key that the provider publishes; none by a shared secret, and none at all.
ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "EdDSA")
ANSWER_SECONDS = 10.0
LEEWAY_SECONDS = 60
DISCOVERY = "/.well-known/openid-configuration"
# A provider is asked anew for its keys no more often than that, whatever tokens come.
KEYS_LAST_SECONDS = 300.0


@dataclass(frozen=True)
class Attempt:
    """Somebody on its way to the provider: what must come back with it. `next_page` is where it wanted to go."""

    state: str
    nonce: str
    verifier: str
    next_page: str
    ends_at: float

    def seal(self, secret: bytes) -> str:
        return seal(secret, json.dumps(asdict(self)))


def find_attempt(secret: bytes, sealed: str | None, now: float) -> Attempt | None:
    """Find the attempt that a browser carries; None for what we have not sealed, or too long ago."""
    told = None if not sealed else find_sealed(secret, sealed)
    attempt = None if told is None else Attempt(**json.loads(told))
    return attempt if attempt is not None and attempt.ends_at > now else None


class Provider:
    """The provider that the operator has set. `transport` is how it is reached: the network, unless a test says."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        assert settings.oidc_issuer is not None
        self.settings, self.transport = settings, transport
        self.issuer = settings.oidc_issuer.rstrip("/")
        self._metadata: Mapping[str, Any] | None = None
        self._keys: tuple[float, Any] | None = None

    async def begin(self, redirect_uri: str, next_page: str, now: float) -> tuple[str, Attempt]:
        """Begin an attempt; returns the address at the provider to send the browser to. Raises: Unauthenticated."""
        lasts = ATTEMPT_LASTS.total_seconds()
        fresh = (secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        attempt = Attempt(*fresh, next_page, now + lasts)
        metadata = await self._read_metadata()
        async with self._open(redirect_uri) as client:
            address, _state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address), attempt

    async def finish(self, redirect_uri: str, query: Mapping[str, str], attempt: Attempt | None) -> dict[str, Any]:
        """Find who has come back; returns the claims of its token, all checked. Raises: Unauthenticated."""
        from authlib.integrations.base_client import OAuthError  # noqa: PLC0415 (read on first use)
        from joserfc.errors import JoseError  # noqa: PLC0415 (read on first use)

        if attempt is None or not secrets.compare_digest(query.get("state", ""), attempt.state):
            raise errors.Unauthenticated("This sign-in was not begun here, or too long ago; begin it again.")
        if query.get("iss", self.issuer).rstrip("/") != self.issuer:
            raise errors.Unauthenticated("This answer is of another provider; begin again.")
        if "code" not in query:
            raise errors.Unauthenticated("The provider did not let you in; begin again.")
        try:
            return await self._exchange(redirect_uri, query["code"], attempt)
        except (OAuthError, JoseError, KeyError, TypeError, ValueError) as error:
            log.warning("a sign-in by OpenID Connect was refused: %s", type(error).__name__)
            raise errors.Unauthenticated("What the provider says of you is not valid; begin again.") from error
        except httpx.HTTPError as error:
            raise self._away(error) from error

    async def _exchange(self, redirect_uri: str, code: str, attempt: Attempt) -> dict[str, Any]:
        metadata = await self._read_metadata()
        async with self._open(redirect_uri) as client:
            token = await client.fetch_token(
                metadata["token_endpoint"], code=code, code_verifier=attempt.verifier, grant_type="authorization_code"
            )
        return self._check(await self._decode(token["id_token"]), token, attempt)

    async def _decode(self, id_token: str) -> "jwt.Token":
        """Check a token's signature by the provider's keys; by new ones where it has changed them since."""
        from joserfc import jwt  # noqa: PLC0415 (read on first use)
        from joserfc.errors import JoseError  # noqa: PLC0415 (read on first use)

        try:
            return jwt.decode(id_token, await self._read_keys(), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            return jwt.decode(id_token, await self._read_keys(anew=True), algorithms=list(ALGORITHMS))

    def _check(self, decoded: "jwt.Token", token: Mapping[str, Any], attempt: Attempt) -> dict[str, Any]:
        """Check that a token is of this provider, for us, of this attempt, and still good."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415 (read on first use)

        client_id = self.settings.oidc_client_id
        options: Any = {
            "iss": {"essential": True, "value": self._metadata["issuer"] if self._metadata else self.issuer},
            "aud": {"essential": True, "value": client_id},
        }
        told = {"nonce": attempt.nonce, "client_id": client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, options, told)
        claims.validate(now=int(time.time()), leeway=LEEWAY_SECONDS)
        return dict(claims)

    def _open(self, redirect_uri: str) -> "AsyncOAuth2Client":
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: PLC0415 (read on first use)

        secret = self.settings.oidc_client_secret
        return AsyncOAuth2Client(
            client_id=self.settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            scope=self.settings.oidc_scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=self.transport,
            timeout=ANSWER_SECONDS,
        )

    async def _read_metadata(self) -> Mapping[str, Any]:
        """Read where the provider's endpoints are, once. Raises: Unauthenticated, where it does not answer."""
        if self._metadata is None:
            metadata = await self._get(f"{self.issuer}{DISCOVERY}")
            if str(metadata.get("issuer", "")).rstrip("/") != self.issuer:
                raise errors.Unauthenticated("The provider calls itself otherwise than BROKER_OIDC_ISSUER says.")
            self._metadata = metadata
        return self._metadata

    async def _read_keys(self, *, anew: bool = False) -> "KeySet":
        from joserfc.jwk import KeySet  # noqa: PLC0415 (read on first use)

        now = time.monotonic()
        if self._keys is not None and (not anew or self._keys[0] > now - KEYS_LAST_SECONDS):
            known: KeySet = self._keys[1]
            return known
        metadata = await self._read_metadata()
        keys = KeySet.import_key_set(await self._get(metadata["jwks_uri"]))
        self._keys = (now, keys)
        return keys

    async def _get(self, address: str) -> Any:
        try:
            async with httpx.AsyncClient(transport=self.transport, timeout=ANSWER_SECONDS) as client:
                answer = await client.get(address)
                answer.raise_for_status()
                return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> errors.Unauthenticated:
        log.warning("the OpenID Connect provider did not answer: %s", type(error).__name__)
        return errors.Unauthenticated("The provider did not answer; try again in a moment, or sign in with a key.")


def open_provider(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Provider | None:
    """Open the provider that the operator has set; None where there is none."""
    return None if settings.oidc_issuer is None else Provider(settings, transport)
