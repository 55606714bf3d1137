"""Requests that a client sends again by itself, without a key: they get the key of the first.

The clients of other services send a POST again that got no answer, and say only that they do so. Each order is noted
by its digest with the key under which it is done; what is sent again soon after is done under the same key, and so
gets the first one's answer.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from broker.http.idempotency import name_principal
from broker.persistence.database import Base, moment_column
from broker.work import Work

# A client gives up a request after ten minutes and sends it again at once, twice at most: each time begins anew here.
REPEATED_WITHIN = timedelta(minutes=15)


class SentOrder(Base):
    """An order as it was sent last: whose it is, its digest, and the idempotency key under which it was done."""

    __tablename__ = "sent_orders"

    principal: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    key: Mapped[str]
    created_at: Mapped[datetime] = moment_column(index=True)


async def find_order_key(work: Work, digest: str, *, is_repeated: bool, within: timedelta = REPEATED_WITHIN) -> str:
    """Find the key under which an order is done: a new one, or where it is sent again that of the first."""
    principal = name_principal(work.actor)
    if is_repeated:
        noted = (
            SentOrder.principal == principal,
            SentOrder.digest == digest,
            SentOrder.created_at > work.now - within,
        )
        sent_again = update(SentOrder).where(*noted).values(created_at=work.now).returning(SentOrder.key)
        if (known := await work.session.scalar(sent_again)) is not None:
            return known
    told = {"customer_id": work.actor.customer_id, "key": work.new_id("ord"), "created_at": work.now}
    row = insert(SentOrder).values(principal=principal, digest=digest, **told)
    await work.session.execute(row.on_conflict_do_update(index_elements=["principal", "digest"], set_=told))
    return str(told["key"])


async def forget_sent_orders(work: Work) -> None:
    """Forget the orders that are not sent again any more."""
    await work.session.execute(delete(SentOrder).where(SentOrder.created_at <= work.now - REPEATED_WITHIN))
