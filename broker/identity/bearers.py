"""Who the bearer of a token is: a run's token tells it by itself; keys and sessions are looked up many at a time."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple, Self

from cachetools import LRUCache
from sqlalchemy import ARRAY, DateTime, Text, bindparam, func, text

from broker import errors
from broker.http.supposed import Supposed
from broker.identity.key_uses import KeyUses
from broker.identity.model import MEMBER, hash_key, read_run_token
from broker.persistence.batches import Batches, refuse_busy
from broker.persistence.database import Database
from broker.persistence.driver import Command, Row, Statement, require
from broker.work import Actor, Role, Services

# The database function sees the keys for as long as it runs, in a scope of its own (migration 0123).
FIND_KEYS = Statement(
    text(
        "SELECT key_hash, id, role, customer_id, expires_at, revoked_at, scopes, projects"
        " FROM find_bearers(CAST(:key_hashes AS text[]))"
    )
)
# Each of these keys is there, as it is told, and good at the moment (migrations 0080, 0098).
CONFIRM_KEYS = require(
    func.are_bearers(
        bindparam("key_hashes", type_=ARRAY(Text)),
        bindparam("told", type_=ARRAY(Text)),
        bindparam("moment", type_=DateTime(timezone=True)),
    )
)
# So many tokens are remembered with whose they were.
REMEMBERED = 4096


class FoundKey(NamedTuple):
    id: str
    role: str
    customer_id: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    scopes: Sequence[str] | None
    projects: Sequence[str] | None

    def make_actor(self) -> Actor:
        actor = Actor(
            Role(self.role), self.id, self.customer_id, None if self.scopes is None else frozenset(self.scopes)
        )
        if self.projects is None:
            return actor
        roles = dict(each.split(":") for each in self.projects)
        acts_in = frozenset(project for project, role in roles.items() if role == MEMBER)
        return replace(actor, projects=frozenset(roles), acts_in=acts_in)


class RememberedBearer(NamedTuple):
    """Whose a key was when it was last looked up, and the commands by which that is asked, or required, again."""

    actor: Actor
    question: Command
    condition: Command

    @classmethod
    def of(cls, key_hash: str, actor: Actor) -> Self:
        named = {"key_hashes": [key_hash]}
        told = " ".join([key_hash, actor.id, actor.role.value, *([actor.customer_id] if actor.customer_id else [])])
        return cls(actor, Command(FIND_KEYS, named), Command(CONFIRM_KEYS, {**named, "told": [told]}))


class Bearers:
    """Finds who bears a token: asked anew each time, so that a key ends at once.

    Requests that come while the keys of those before them are being looked up share the next look. Whose a token was is
    remembered for those that look it up again in a message of their own (`suppose`).
    """

    def __init__(self, database: Database, services: Services) -> None:
        self.database, self.services, self.uses = database, services, KeyUses()
        self.remembered: MutableMapping[str, RememberedBearer] = LRUCache(REMEMBERED)
        self.looks = Batches[None, str, FoundKey | None](self._look, services.settings.turn_seconds, refuse=refuse_busy)

    async def authenticate(self, token: str) -> Actor:
        """Find who bears this token. Raises: Unauthenticated; Busy."""
        bearer = read_run_token(self.services.secret, token)
        if bearer is not None:
            return Actor(Role.RUN, bearer.run_id, bearer.customer_id)
        key_hash = hash_key(token)
        return self._judge(key_hash, await self.looks.ask(None, key_hash))

    def suppose(self, token: str) -> Supposed | None:
        """Suppose that a token is still whose it was; None where nothing is remembered of it."""
        known = self.remembered.get(key_hash := hash_key(token))
        if known is None or known.actor.projects is not None:  # of what projects is no message's condition
            return None
        self.uses.note(known.actor.id)
        judge, look = partial(self._judge_rows, key_hash), partial(self.authenticate, token)
        return Supposed(known.actor, known.question, known.condition, judge, look)

    def _judge_rows(self, key_hash: str, rows: Sequence[Row]) -> Actor:
        return self._judge(key_hash, _read_keys(rows).get(key_hash))

    def _judge(self, key_hash: str, key: FoundKey | None) -> Actor:
        """Tell who bears a key, and remember it. Raises: Unauthenticated."""
        self.remembered.pop(key_hash, None)
        if key is None or key.revoked_at is not None:
            raise errors.Unauthenticated("This API key is unknown or was revoked, or this session has ended.")
        if key.expires_at is not None and key.expires_at <= self.services.clock():
            raise errors.Unauthenticated(f"This API key expired at {key.expires_at.isoformat()}; ask for a new one.")
        actor = key.make_actor()
        self.uses.note(key.id)
        self.remembered[key_hash] = RememberedBearer.of(key_hash, actor)
        return actor

    async def _look(self, _key: None, hashes: Sequence[str]) -> list[FoundKey | None]:
        """Look up keys by their hashes, in a transaction of its own."""
        rows = await self.database.fetch_rows(FIND_KEYS, {"key_hashes": sorted(set(hashes))})
        found = _read_keys(rows)
        return [found.get(each) for each in hashes]


def _read_keys(rows: Sequence[Row]) -> Mapping[str, FoundKey]:
    """Read the keys that were found, by their hashes."""
    return {key_hash: FoundKey(*key) for key_hash, *key in rows}
