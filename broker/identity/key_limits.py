"""How many requests a key may send in a minute: what ops has set for it or its customer; the edge keeps to it."""

from sqlalchemy import bindparam, func, select

from broker import errors
from broker.identity.service import get_api_key, get_customer
from broker.identity.tables import ApiKey, Customer
from broker.persistence.driver import Command, Statement
from broker.system import System
from broker.work import Actor, Work

# The kinds of these changes in the record, by which they can be taken back.
KEY_LIMIT, CUSTOMER_LIMIT = "key_limit", "customer_limit"
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
    _note(work, KEY_LIMIT, key_id, key.requests_per_minute, requests_per_minute)
    key.requests_per_minute = requests_per_minute
    return key


async def set_customer_limit(work: Work, customer_id: str, requests_per_minute: int | None) -> Customer:
    """Set what each of a customer's keys may send that has no limit of its own. Raises: NotFound."""
    customer = await get_customer(work, customer_id)
    _note(work, CUSTOMER_LIMIT, customer_id, customer.requests_per_minute, requests_per_minute)
    customer.requests_per_minute = requests_per_minute
    return customer


def _note(work: Work, kind: str, object_id: str, before: int | None, after: int | None) -> None:
    name = "requests_per_minute"
    work.note_change(kind, object_id, {name: before}, {name: after})
