"""What ops has set for a key or its customer: requests in a minute, which the edge keeps to, and bytes to be stored."""

from collections.abc import Mapping

from sqlalchemy import bindparam, func, select

from broker import errors
from broker.identity.service import get_api_key, get_customer
from broker.identity.tables import ApiKey, Customer
from broker.persistence.driver import Command, Statement
from broker.system import System
from broker.work import Actor, Work

# The kinds of these changes in the record, by which they can be taken back.
KEY_LIMIT, CUSTOMER_LIMIT = "key_limit", "customer_limit"
CUSTOMER_LIMITS = ("requests_per_minute", "storage_limit_bytes")
FIND_LIMIT = Statement(
    select(func.coalesce(ApiKey.requests_per_minute, Customer.requests_per_minute))
    .select_from(ApiKey)
    .outerjoin(Customer, Customer.id == ApiKey.customer_id)
    .where(ApiKey.id == bindparam("key_id"))
)


async def find_limit(system: System, actor: Actor) -> int | None:
    """Find the limit that was set for a key, or for its customer's keys; None where none was, 0 for no limit."""
    [rows] = await system.read([Command(FIND_LIMIT, {"key_id": actor.id})])
    return rows[0][0] if rows else None


async def set_key_limit(work: Work, key_id: str, requests_per_minute: int | None) -> ApiKey:
    """Set what a key may send in a minute; None: as its customer's keys. Raises: NotFound."""
    key = await get_api_key(work, key_id)
    if key.revoked_at is not None:
        raise errors.IllegalTransition("This key was revoked; it sends nothing any more.")
    name = "requests_per_minute"
    work.note_change(KEY_LIMIT, key_id, {name: key.requests_per_minute}, {name: requests_per_minute})
    key.requests_per_minute = requests_per_minute
    return key


async def set_customer_limits(work: Work, customer_id: str, changes: Mapping[str, int | None]) -> Customer:
    """Set what each of a customer's keys may send that has no limit of its own, or what the customer may store.

    Raises: NotFound.
    """
    customer = await get_customer(work, customer_id)
    before = {name: getattr(customer, name) for name in changes}
    work.note_change(CUSTOMER_LIMIT, customer_id, before, changes)
    for name, value in changes.items():
        assert name in CUSTOMER_LIMITS, "the request's shape has no other"
        setattr(customer, name, value)
    return customer
