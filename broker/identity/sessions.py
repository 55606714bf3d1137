"""Sessions of the console: begun with an API key, ended by signing out, with the key, or after their time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from broker.identity.model import hash_key, make_session_token
from broker.identity.tables import Session
from broker.work import Work


@dataclass(frozen=True)
class NewSession:
    """The token of a session, told once, and when the session ends (UTC)."""

    token: str
    expires_at: datetime


async def begin_session(work: Work) -> NewSession:
    """Begin a session for the bearer of the key that this work is done with."""
    token, expires_at = make_session_token(), work.now + timedelta(seconds=work.settings.session_seconds)
    work.session.add(
        Session(
            id=work.new_id("ses"),
            api_key_id=work.actor.id,
            customer_id=work.actor.customer_id,
            token_hash=hash_key(token),
            expires_at=expires_at,
            created_at=work.now,
        )
    )
    await work.flush()
    return NewSession(token, expires_at)


async def end_session(work: Work, token: str) -> None:
    """End the session of this token; where it has ended already, do nothing."""
    await work.session.execute(delete(Session).where(Session.token_hash == hash_key(token)))


async def sweep_sessions(work: Work, limit: int = 5_000) -> int:
    """Delete sessions whose time is over; returns how many there were, at most `limit`."""
    over = select(Session.id).where(Session.expires_at < work.now).limit(limit)
    swept = await work.session.execute(delete(Session).where(Session.id.in_(over)).returning(Session.id))
    return len(swept.all())
