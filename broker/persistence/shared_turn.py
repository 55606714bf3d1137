"""A turn that processes take one after the other, so that a batch grows while it waits and not while it holds locks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.persistence.database import Database

# So long a process waits whose turn does not come: the others may stand still, and a turn is a courtesy.
LONGEST_SECONDS = 0.25


class SharedTurn:
    """Gives one batch of all processes on a database a turn at one time.

    Batches of two processes meet at the same locks. Who waits there has been taken, and grows no more; who waits here
    takes all that has come when its turn comes. Nothing rests on it: without a turn a batch is decided just as well.

    It is taken in the transaction in which the batch is then decided, `begun` while the turn lasts: so it ends with the
    commit itself, and the next process is woken by PostgreSQL, without a message more.
    """

    def __init__(self, database: Database, lock: int) -> None:
        self.database, self.lock = database, lock
        self.longest_seconds = LONGEST_SECONDS
        self.begun: AsyncConnection | None = None

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn, for so long at most, and keep it until its transaction or the block ends."""
        turn = self.database.begin_in_turn(self.lock, self.longest_seconds)
        holding = AsyncExitStack()
        with suppress(SQLAlchemyError):
            self.begun = await holding.enter_async_context(turn)
        try:
            yield
        finally:
            self.begun = None
            with suppress(SQLAlchemyError):
                await holding.aclose()
