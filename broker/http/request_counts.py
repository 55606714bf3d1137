"""Requests counted for all processes together: the storage that `limits` counts in, on PostgreSQL.

A counter begins with its first count and ends after its time; the next count begins it anew. The table is not logged:
after a crash of the server counting begins anew, too.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from limits.aio.storage import Storage
from sqlalchemy import bindparam, case, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from broker.clock import Clock
from broker.persistence.database import Base, Database, moment_column
from broker.persistence.driver import Statement
from broker.work import Work


class RequestCount(Base):
    """How many requests a key of `limits` has counted until `expires_at`."""

    __tablename__ = "request_counts"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime] = moment_column(index=True)


class Counted(NamedTuple):
    """How many a counter has, and when it ends (UTC)."""

    amount: int
    expires_at: datetime


NOW, MOMENT = "now", RequestCount.expires_at.type
ENTRY = insert(RequestCount).values(
    key=bindparam("key"), count=bindparam("amount"), expires_at=bindparam("expires_at", type_=MOMENT)
)
IS_OVER = RequestCount.expires_at <= bindparam(NOW, type_=MOMENT)
COUNT = Statement(
    ENTRY.on_conflict_do_update(
        index_elements=[RequestCount.key],
        set_={
            "count": case((IS_OVER, ENTRY.excluded.count), else_=RequestCount.count + ENTRY.excluded.count),
            "expires_at": case((IS_OVER, ENTRY.excluded.expires_at), else_=RequestCount.expires_at),
        },
    ).returning(RequestCount.count, RequestCount.expires_at)
)
LOOK_UP = Statement(
    select(RequestCount.count, RequestCount.expires_at).where(
        RequestCount.key == bindparam("key"), RequestCount.expires_at > bindparam(NOW, type_=MOMENT)
    )
)
CLEAR = Statement(delete(RequestCount).where(RequestCount.key == bindparam("key")).returning(RequestCount.key))
RESET = Statement(delete(RequestCount).returning(RequestCount.key))
CHECK = Statement(select(1))


class RequestCounts(Storage):
    """The counters of `limits` in the broker's database. Each call is one round trip.

    Time is the broker's: processes whose clocks differ by a second see a counter end by so much apart.
    """

    STORAGE_SCHEME = ["broker+postgresql"]  # noqa: RUF012 (the library reads it as a class attribute)

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self.database, self.clock = database, clock

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return (SQLAlchemyError, psycopg.Error)

    async def count(self, key: str, seconds: int, amount: int) -> Counted:
        """Add so many to a counter, which ends so many seconds after its first count."""
        now = self.clock()
        told = {"key": key, "amount": amount, "now": now, "expires_at": now + timedelta(seconds=seconds)}
        rows = await self.database.fetch_rows(COUNT, told)
        return Counted(*rows[0])

    async def find(self, key: str) -> Counted | None:
        """Find a counter that has not ended."""
        rows = await self.database.fetch_rows(LOOK_UP, {"key": key, "now": self.clock()})
        return Counted(*rows[0]) if rows else None

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return (await self.count(key, expiry, amount)).amount

    async def get(self, key: str) -> int:
        found = await self.find(key)
        return 0 if found is None else found.amount

    async def get_expiry(self, key: str) -> float:
        found = await self.find(key)
        return (self.clock() if found is None else found.expires_at).timestamp()

    async def check(self) -> bool:
        return bool(await self.database.fetch_rows(CHECK, {}))

    async def reset(self) -> int | None:
        return len(await self.database.fetch_rows(RESET, {}))

    async def clear(self, key: str) -> None:
        await self.database.fetch_rows(CLEAR, {"key": key})


async def forget_old_counts(work: Work, limit: int = 5_000) -> int:
    """Forget some counters that have ended; returns how many."""
    old = select(RequestCount.key).where(RequestCount.expires_at < work.now).limit(limit)
    free = old.with_for_update(skip_locked=True)
    forgotten = await work.session.execute(
        delete(RequestCount).where(RequestCount.key.in_(free)).returning(RequestCount.key)
    )
    return len(forgotten.all())
