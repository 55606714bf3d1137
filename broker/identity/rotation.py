"""Rotation of API keys: a key takes the place of another, and for a while both are good."""

from datetime import datetime, timedelta

from sqlalchemy import select

from broker import errors
from broker.identity.members import take_over_memberships
from broker.identity.model import NewKey
from broker.identity.service import create_api_key, get_api_key, keep_one_administrator, require_own_key
from broker.identity.tables import ApiKey, Person
from broker.work import Role, Work
from pricing.money import Money


async def rotate_key(
    work: Work, key_id: str, *, overlap: timedelta, expires_at: datetime | None = None
) -> tuple[ApiKey, NewKey]:
    """Make a key that may do what another may; that one is refused once the overlap is over.

    Without an end of its own the new key lasts as long as the old one was made for. Sessions of the console go on with
    the old key until it ends.

    Raises: NotFound; IllegalTransition, for a key that is over, was replaced, or is a person's; InvalidRequest;
    Forbidden.
    """
    require_own_key(work, await get_api_key(work, key_id))
    query = select(ApiKey).where(ApiKey.id == key_id).with_for_update(key_share=True)
    old = (await work.session.scalars(query.execution_options(populate_existing=True))).one()
    await _require_in_use(work, old)
    if expires_at is None and old.expires_at is not None:
        expires_at = work.now + (old.expires_at - old.created_at)
    new, told = await create_api_key(
        work,
        role=Role(old.role),
        name=old.name,
        customer_id=old.customer_id,
        expires_at=expires_at,
        max_cost=None if old.max_cost_micros is None else Money(old.max_cost_micros),
        scopes=old.scopes,
        is_confined=old.is_confined,
    )
    new.replaces, new.requests_per_minute = old.id, old.requests_per_minute
    await work.session.flush()
    await take_over_memberships(work, old.id, new)
    await keep_one_administrator(work, old)
    end = work.now + overlap
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    return new, told


async def _require_in_use(work: Work, old: ApiKey) -> None:
    """Refuse what has no place that could be taken. Raises: IllegalTransition."""
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= work.now):
        raise errors.IllegalTransition("This key is over; make a new one instead.")
    if await work.session.scalar(select(Person.id).where(Person.api_key_id == old.id)) is not None:
        # one that is held would outlast the person's groups at the provider, and its removal here
        raise errors.IllegalTransition("Nobody holds this key: its person signs in by OpenID Connect. Make a new one.")
    by = await work.session.scalar(select(ApiKey.id).where(ApiKey.replaces == old.id))
    if by is not None:
        raise errors.IllegalTransition(f"This key was replaced by {by} already; rotate that one.")
