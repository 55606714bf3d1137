"""Who the bearer of a token is: a run's token tells it by itself, and API keys are looked up many at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from broker import errors
from broker.identity.model import hash_key, read_run_token
from broker.persistence.batches import Batches, refuse_busy
from broker.persistence.database import Database
from broker.persistence.driver import Statement
from broker.work import Actor, Role, Services

# The database function sees the keys for as long as it runs, in a scope of its own (migration 0042).
FIND_KEYS = Statement(
    text(
        "SELECT key_hash, id, role, customer_id, expires_at, revoked_at FROM find_api_keys(CAST(:key_hashes AS text[]))"
    )
)


class FoundKey(NamedTuple):
    id: str
    role: str
    customer_id: str | None
    expires_at: datetime | None
    revoked_at: datetime | None


class Bearers:
    """Finds who bears a token: asked anew each time, so that a key ends at once.

    Requests that come while the keys of those before them are being looked up share the next look.
    """

    def __init__(self, database: Database, services: Services) -> None:
        self.database, self.services = database, services
        self.looks = Batches[None, str, FoundKey | None](self._look, services.settings.turn_seconds, refuse=refuse_busy)

    async def authenticate(self, token: str) -> Actor:
        """Find who bears this token. Raises: Unauthenticated; Busy."""
        bearer = read_run_token(self.services.secret, token)
        if bearer is not None:
            return Actor(Role.RUN, bearer.run_id, bearer.customer_id)
        key = await self.looks.ask(None, hash_key(token))
        if key is None or key.revoked_at is not None:
            raise errors.Unauthenticated("This API key is unknown or was revoked.")
        if key.expires_at is not None and key.expires_at <= self.services.clock():
            raise errors.Unauthenticated(f"This API key expired at {key.expires_at.isoformat()}; ask for a new one.")
        return Actor(Role(key.role), key.id, key.customer_id)

    async def _look(self, _key: None, hashes: Sequence[str]) -> list[FoundKey | None]:
        """Look up keys by their hashes, in a transaction of its own."""
        rows = await self.database.fetch_rows(FIND_KEYS, {"key_hashes": sorted(set(hashes))})
        found = {key_hash: FoundKey(*row) for key_hash, *row in rows}
        return [found.get(each) for each in hashes]
