"""Who sent a request, and the transactions that are opened for it.

Most routes need one. One that receives, unpacks or counts anything asks for the caller instead of its unit of work: it
takes short looks at the database, does what is slow in between, and begins the request's own transaction when it is
ready to write.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from broker import errors
from broker.http.idempotency import Claim, claim_key, find_answer, keep_answer
from broker.http.shared_reads import Read, SharedReads
from broker.http.shares import Turnstile
from broker.http.supposed import Supposed, add_question, take_answer
from broker.persistence.database import Database, Scope, TimeLimits
from broker.persistence.driver import COMMIT, Command, Row
from broker.persistence.tenancy import confine
from broker.work import OF_NO_CUSTOMER, STAFF, Actor, Role, Services, Work

log = logging.getLogger(__name__)


@dataclass
class Caller:
    """The actor of one request. Each transaction sees what the actor may see, and waits for the actor's turn.

    `stack` ends with the request: what is begun is committed then, before the answer is sent. `record` records what a
    request of staff decided, in the transaction that does it. An actor who is only `supposed` is confirmed by the
    first message of a transaction, which raises: Unauthenticated.
    """

    actor: Actor
    services: Services
    database: Database
    turnstile: Turnstile
    claim: Claim | None
    stack: AsyncExitStack
    record: Callable[[Work, Response], Awaitable[None]]
    supposed: Supposed | None = None
    reads: SharedReads | None = None
    work: Work | None = field(default=None, init=False)
    ahead: Work | None = field(default=None, init=False)

    def require_role(self, roles: tuple[Role, ...]) -> None:
        """Refuse an actor of another role. Raises: Forbidden."""
        if self.actor.role not in roles:
            names = ", ".join(sorted(role.value for role in roles))
            raise errors.Forbidden(f"This needs a key of role {names}; yours is {self.actor.role.value}.")

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Work]:
        """Open a short transaction that ends with the block. It must not wait for what a client sends.

        Raises: Busy, TooManyAtOnce.
        """
        assert self.work is None, "what is begun holds a connection already: a second one could wait for it for ever"
        async with self._open() as work:
            yield work

    async def begin(self) -> Work:
        """Begin the request's own transaction: the edge commits it when the handler has returned, before it answers.

        Raises: Busy, TooManyAtOnce; IdempotencyConflict; AnsweredBefore, which the edge turns into the first answer.
        """
        work, _rows = await self.begin_with(())
        return work

    async def begin_ahead(self) -> Work:
        """Begin as `begin` does, for what is to be looked at first: the handler that begins then has this very one."""
        self.ahead = await self.begin()
        return self.ahead

    async def begin_with(self, commands: Sequence[Command]) -> tuple[Work, list[list[Row]]]:
        """Begin as `begin` does, and read by statements in the same message; returns the rows of each, too."""
        if self.ahead is not None and not commands:
            work, self.ahead = self.ahead, None
            return work, []
        assert self.work is None, "a request has one transaction of its own"
        work, rows = await self.stack.enter_async_context(self.open_with(commands))
        self.work = work
        if self.claim is not None:
            await claim_key(work, self.claim)
        return work, rows

    async def write_last(self, commands: Sequence[Command]) -> None:
        """Write by statements what is the last to be written by the handler.

        The commit goes in the same message, unless the edge has something to add: the answer for a retry, or what staff
        decided. So the answer must be there already.
        """
        assert self.work is not None, "the request's own transaction has begun"
        edge_adds = self.claim is not None or self.actor.role in STAFF
        await self.work.run_together(commands, after=b"" if edge_adds else COMMIT)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Work]:
        async with self.open_with(()) as (work, _rows):
            yield work

    @asynccontextmanager
    async def open_with(self, commands: Sequence[Command]) -> AsyncIterator[tuple[Work, list[list[Row]]]]:
        """Open a transaction and run its first statements in the same message; it is committed when the block ends."""
        unconfirmed = self.unconfirmed
        asked = add_question(unconfirmed, commands)
        opening = self.database.transaction_with(asked, *_scope_of(self.actor), limits=self._limits)
        async with self.turnstile.pass_through(self.actor), opening as (session, rows):
            yield self._make_work(session), take_answer(unconfirmed, rows)

    async def read(self, commands: Sequence[Command]) -> Sequence[Sequence[Row]]:
        """Read by statements in one message, which is the whole transaction; returns the rows of each.

        Customers share one with others that read at the moment. Raises: Unauthenticated, Busy, TooManyAtOnce.
        """
        if self.reads is None or self.actor.role != Role.CUSTOMER or self.actor.projects is not None:
            return await self._read_alone(commands)
        read_alone = partial(self._read_alone, commands)
        return await self.reads.read(Read(self.actor, self.unconfirmed, commands, read_alone))

    async def _read_alone(self, commands: Sequence[Command]) -> Sequence[Sequence[Row]]:
        unconfirmed = self.unconfirmed
        asked = add_question(unconfirmed, commands)
        async with self.turnstile.pass_through(self.actor):
            rows = await self.database.read(asked, *_scope_of(self.actor), limits=self._limits)
        return take_answer(unconfirmed, rows)

    @asynccontextmanager
    async def look_beside(self) -> AsyncIterator[Work]:
        """Open a unit of work for what belongs to nobody, such as a rate card that rows which were read name.

        It takes a connection when it first asks. Raises: Busy, TooManyAtOnce.
        """
        async with self.turnstile.pass_through(self.actor), self.database.open_unscoped() as session:
            yield self._make_work(session)

    @property
    def unconfirmed(self) -> Supposed | None:
        """Tell what the actor is supposed to be, as long as no message has confirmed it."""
        return None if self.supposed is None or self.supposed.is_confirmed else self.supposed

    @property
    def _limits(self) -> TimeLimits:
        settings = self.services.settings
        return TimeLimits(settings.lock_seconds, settings.statement_seconds)

    def _make_work(self, session: AsyncSession) -> Work:
        work = Work(session, self.actor, self.services, self.claim.key if self.claim else None)
        if work.confined_to is not None:
            confine(session.sync_session, work.confined_to, self.actor.projects)
        return work

    async def answer_if_known(self) -> None:
        """Answer a request that was answered before, without doing its slow work again. Raises: AnsweredBefore."""
        if self.claim is not None:
            async with self.look() as work:
                await find_answer(work, self.claim)

    async def answer(self, handle: Callable[[], Awaitable[Response]]) -> Response:
        """Have the handler answer, and keep its answer for a retry."""
        response = await handle()
        if self.claim is not None and self.work is not None:
            await keep_answer(self.work, self.claim, response)
        return response

    def delete_unless_kept(self, key: str) -> None:
        """Have a stored object deleted where the request fails after all. To be said before the transaction begins."""
        self._delete_when_over(key, lambda failed: failed)

    def delete_once_kept(self, key: str) -> None:
        """Have a stored object deleted once the request is committed. To be said before the transaction begins."""
        self._delete_when_over(key, lambda failed: not failed)

    def delete_unless_used(self, key: str, is_used: Callable[[], bool]) -> None:
        """Have a stored object deleted where the request fails, or has no use for it when it is committed."""
        self._delete_when_over(key, lambda failed: failed or not is_used())

    def _delete_when_over(self, key: str, goes: Callable[[bool], bool]) -> None:
        assert self.work is None, "it is to happen after the database commit"

        async def delete(
            kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
        ) -> None:
            if goes(kind is not None):
                await self._delete(key)

        self.stack.push_async_exit(delete)

    async def _delete(self, key: str) -> None:
        """Delete an object; where that fails, the sweeper finds it later, and the answer stays what it is."""
        try:
            await self.services.storage.delete(key)
        except OSError as error:
            log.warning("%s could not be deleted: %s", key, error)


@asynccontextmanager
async def open_together(
    callers: Collection[Caller], commands: Sequence[Command], limits: TimeLimits
) -> AsyncIterator[tuple[Mapping[str, Work], list[list[Row]]]]:
    """Open one transaction of several tenants, as `Caller.open_with` does: it sees the rows of all of them.

    Yields for each tenant, by its id, a unit of work that sees its own rows only. Raises: Busy.
    """
    of_tenants = {caller.actor.customer_id: caller for caller in callers if caller.actor.customer_id is not None}
    first, scope = next(iter(of_tenants.values())), ",".join(sorted(of_tenants))
    async with (
        first.turnstile.pass_together(first.actor),
        first.database.transaction_with(commands, Scope.TENANTS, scope, limits=limits) as (session, rows),
    ):
        yield {tenant: _confine_work(caller, session) for tenant, caller in of_tenants.items()}, rows


async def write_together(
    callers: Collection[Caller], commands: Sequence[Command], limits: TimeLimits, *, after: bytes
) -> None:
    """Write in one message that is a transaction of several tenants; it is not sent twice. Raises: Busy."""
    tenants = {each.actor.customer_id for each in callers if each.actor.customer_id is not None}
    first = next(iter(callers))
    async with first.turnstile.pass_together(first.actor):
        await first.database.write(commands, Scope.TENANTS, ",".join(sorted(tenants)), limits=limits, after=after)


def list_unconfirmed(callers: Iterable[Caller]) -> list[Supposed]:
    """List what actors are supposed to be that no message has confirmed yet."""
    return [each.unconfirmed for each in callers if each.unconfirmed is not None]


def _confine_work(caller: Caller, of_all: AsyncSession) -> Work:
    """Make a unit of work in the transaction of several tenants that sees the rows of one."""
    session = AsyncSession(of_all.bind, expire_on_commit=False)
    work = Work(session, caller.actor, caller.services)
    confine(session.sync_session, caller.actor.customer_id or "", caller.actor.projects)
    return work


def _scope_of(actor: Actor) -> tuple[Scope, str | None]:
    if actor.role in OF_NO_CUSTOMER:
        return Scope.ALL, None
    return Scope.TENANT, actor.customer_id
