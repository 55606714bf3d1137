"""A turn that processes take one after the other, so that a batch grows while it waits and not while it holds locks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from broker.persistence.database import Database, Scope, TimeLimits
from broker.persistence.driver import Command, Statement

TAKE = Statement(text("SELECT pg_advisory_xact_lock(CAST(:lock AS bigint))"))
# So long a process waits whose turn does not come: the others may stand still, and a turn is a courtesy.
LONGEST_SECONDS = 0.25


class SharedTurn:
    """Gives one batch of all processes on a database a turn at one time.

    Batches of two processes meet at the same locks. Who waits there has been taken, and grows no more; who waits here
    takes all that has come when its turn comes. Nothing rests on it: without a turn a batch is decided just as well.
    """

    def __init__(self, database: Database, lock: int) -> None:
        self.database, self.lock = database, lock
        self.longest_seconds = LONGEST_SECONDS

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn, for so long at most, and keep it until the block ends."""
        limits = TimeLimits(self.longest_seconds, self.longest_seconds)
        turn = self.database.transaction_with([Command(TAKE, {"lock": self.lock})], Scope.TENANT, limits=limits)
        holding = AsyncExitStack()
        with suppress(SQLAlchemyError):
            await holding.enter_async_context(turn)
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):
                await holding.aclose()
