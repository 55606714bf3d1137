"""When keys were used last: noted in memory by each request, written for all of them once a minute."""

import asyncio
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update

from broker.identity.tables import ApiKey
from broker.persistence.membership import is_one_of
from broker.system import System
from broker.work import Work

WRITE_SECONDS = 60.0
WRITING = "writing when keys were used"


class KeyUses:
    """The keys that this process has seen used since they were last written.

    A key is noted before its request is known to be good; what is revoked or expired is left out when it is written.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def note(self, key_id: str) -> None:
        self.seen.add(key_id)

    async def write(self, system: System) -> None:
        """Write that the noted keys were used in this minute; where that fails, the next writing has them, too.

        Raises: nothing.
        """
        seen, self.seen = self.seen, set()
        if not seen:
            return
        try:
            async with system.work() as work:
                await write_uses(work, seen)
            system.services.failures.settle(WRITING)
        except Exception as error:  # noqa: BLE001 (the next writing has them, too)
            self.seen |= seen
            system.services.note_failure(WRITING, error)

    async def write_regularly(self, system: System) -> None:
        """Write once a minute, until cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(WRITE_SECONDS)
                await self.write(system)
        finally:
            await self.write(system)


async def write_uses(work: Work, key_ids: Collection[str]) -> None:
    """Write that keys were used in this minute. A row that somebody holds is passed over: its key is used again."""
    moment = cut_to_minute(work.now)
    earlier = ApiKey.last_used_at.is_(None) | (ApiKey.last_used_at < moment)
    good = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > moment))
    found = select(ApiKey.id).where(is_one_of(ApiKey.id, key_ids), earlier, good)
    free = found.order_by(ApiKey.id).with_for_update(skip_locked=True, key_share=True)
    ids = (await work.session.scalars(free)).all()
    await work.session.execute(update(ApiKey).where(is_one_of(ApiKey.id, ids)).values(last_used_at=moment))


def cut_to_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
