"""One unit of work: what a use case needs, handed in by the edge that opened the transaction and will commit it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker.clock import Clock
from broker.config import Settings
from broker.failure_log import FailureLog
from broker.ids import IdFactory
from broker.persistence.database import TimeLimits, compute, take_turn
from broker.persistence.driver import Command, Query, Row, fetch_rows, run_together
from broker.persistence.faults import find_fault
from broker.persistence.read_cache import ReadCache
from broker.persistence.storage import Storage
from broker.persistence.tenancy import ASKING

Answer = TypeVar("Answer")


class Role(StrEnum):
    CUSTOMER = "customer"
    FINANCE = "finance"
    OPS = "ops"
    ADMIN = "admin"
    RUN = "run"
    METER = "meter"
    SYSTEM = "system"


STAFF = frozenset({Role.FINANCE, Role.OPS, Role.ADMIN})
# So many quotes are known without being read again: a job is mostly submitted soon after it was quoted.
QUOTES_KEPT = 1024
# Jobs as lists show them, some 4 KiB each.
JOBS_KEPT = 2048
# Their keys belong to no customer, and see all. A meter is a program that reports usage, and may do nothing else.
OF_NO_CUSTOMER = STAFF | {Role.METER}


@dataclass(frozen=True)
class Actor:
    """Who acts: staff and the system see every customer, the others one.

    `scopes`: None where the key has all. `projects`: those that it looks at, and `acts_in` those of them in which it
    changes anything; None where it is not confined to projects.
    """

    role: Role
    id: str
    customer_id: str | None = None
    scopes: frozenset[str] | None = None
    projects: frozenset[str] | None = None
    acts_in: frozenset[str] | None = None

    @property
    def confined_to(self) -> str | None:
        """Tell the customer whose rows are the only ones seen; None for those who see every customer's."""
        return None if self.role in {*OF_NO_CUSTOMER, Role.SYSTEM} else self.customer_id or ""


@dataclass(frozen=True)
class Look:
    """What somebody of staff was shown that a customer has made: a file, a picture, an adapter."""

    object_id: str
    customer_id: str


SYSTEM_ACTOR = Actor(Role.SYSTEM, "system")


@dataclass(frozen=True)
class Change:
    """What a decision of staff changed of an object, by field, as JSON has it; with it the decision can be undone.

    `undoes`: the record of the decision that this one takes back.
    """

    kind: str
    object_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    undoes: str | None = None


@dataclass(frozen=True)
class Services:
    """What lives as long as the process and every unit of work may use."""

    settings: Settings
    storage: Storage
    clock: Clock
    new_id: IdFactory
    secret: bytes
    versions: ReadCache = field(default_factory=ReadCache.of_versions)
    quotes: ReadCache = field(default_factory=partial(ReadCache.of_versions, QUOTES_KEPT))
    rows: ReadCache = field(default_factory=ReadCache)
    written_jobs: ReadCache = field(default_factory=partial(ReadCache.of_versions, JOBS_KEPT))
    failures: FailureLog = field(default_factory=FailureLog)

    @property
    def now(self) -> datetime:
        return self.clock()

    def note_failure(self, what: str, error: Exception, expects: tuple[type[Exception], ...] = ()) -> None:
        """Log what will be tried again; with its traceback, unless it is nobody's mistake or one that is expected."""
        self.failures.note(what, error, expected=find_fault(error) is not None or isinstance(error, expects))


@dataclass(frozen=True)
class Work:
    """A transaction with its actor. Services never commit; `now` is read from the injected clock."""

    session: AsyncSession
    actor: Actor
    services: Services
    idempotency_key: str | None = None
    # Under which word of two people it acts (`broker/second_person.py`); None: one person decides.
    approval: str | None = None
    changes: list[Change] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    @property
    def connection(self) -> AsyncConnection:
        """Get the connection of the transaction, for statements of `broker.persistence.driver`."""
        connection = self.session.bind
        assert isinstance(connection, AsyncConnection)
        return connection

    @property
    def confined_to(self) -> str | None:
        """Tell the customer whose rows are the only ones seen; None for those who see every customer's."""
        return self.actor.confined_to

    @property
    def seen_by(self) -> list[str] | None:
        """List the customers whose rows are the only ones seen, for a statement of several (`tenancy.is_seen`)."""
        return list_seen([self])

    def sees(self, customer_id: str) -> bool:
        """Tell whether the rows of a customer are seen."""
        return self.confined_to in {None, customer_id}

    @property
    def now(self) -> datetime:
        return self.services.clock()

    @property
    def settings(self) -> Settings:
        return self.services.settings

    @property
    def storage(self) -> Storage:
        return self.services.storage

    async def fetch(self, query: Query, **parameters: object) -> list[Any]:
        """Fetch rows past the session, which is flushed before; the query itself names whose rows they are (`owns`)."""
        await self.flush()
        told = {ASKING.key: self.confined_to, **parameters}
        return await fetch_rows(self.connection, query, told)

    async def run_together(
        self, commands: Sequence[Command], *, before: bytes = b"", after: bytes = b""
    ) -> list[list[Row]]:
        """Run statements past the session, which is flushed before, in one message; `driver.run_together` says how."""
        await self.flush()
        return await run_together(self.connection, commands, before=before, after=after)

    async def flush(self) -> None:
        """Write what the session has new or changed; asking costs nothing where that is nothing."""
        if self.session.new or self.session.dirty:
            await self.session.flush()

    async def take_turn(self, lock: int, commands: Sequence[Command] = ()) -> list[list[Row]]:
        """Wait for a turn that processes take one after the other; it ends with the transaction.

        Returns the rows of statements that are run once it is there, in the same message.
        """
        return await take_turn(self.connection, lock, commands, limits=TimeLimits(self.settings.lock_seconds))

    async def compute(self, function: Callable[[], Answer]) -> Answer:
        """Have a thread compute something within the transaction, however long it takes; returns what it returns."""
        return await compute(self.connection, function)

    def new_id(self, prefix: str) -> str:
        return self.services.new_id(prefix)

    def note_look(self, object_id: str, customer_id: str) -> None:
        """Note for the record what a customer has made and this unit of work shows; it is kept where staff looks."""
        self.looks.append(Look(object_id, customer_id))

    def note_change(
        self, kind: str, object_id: str, before: Mapping[str, Any], after: Mapping[str, Any], undoes: str | None = None
    ) -> None:
        """Note for the record what this unit of work has changed of an object; what stayed as it was is left out."""
        names = [name for name in after if before.get(name) != after[name]]
        old, new = ({name: of.get(name) for name in names} for of in (before, after))
        self.changes.append(Change(kind, object_id, old, new, undoes))


def list_seen(works: Collection[Work]) -> list[str] | None:
    """List the customers whose rows units of work of one transaction see; None: one of them sees every customer's."""
    confined = {work.confined_to for work in works}
    return None if None in confined else sorted(each for each in confined if each is not None)


async def run_for_all(works: Collection[Work], commands: Sequence[Command], *, after: bytes = b"") -> list[list[Row]]:
    """Run statements as `Work.run_together` does, in the transaction that units of work share: each is flushed before.

    There is at least one.
    """
    for work in works:
        await work.flush()
    return await run_together(next(iter(works)).connection, commands, after=after)
