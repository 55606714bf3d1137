"""Reads of one moment share one message: whose keys they are, and what each customer asks for, of all who ask together.

A message costs as much as what it reads. Its transaction is of the tenants that ask and of nobody else; that each is
told its own rows alone is a condition of its own commands (`tenancy.owns`), as in a message of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from broker import errors
from broker.http.shares import Turnstile
from broker.http.supposed import Supposed, join_questions
from broker.persistence.database import Database, Scope, TimeLimits
from broker.persistence.driver import Command, Row
from broker.persistence.joint_batches import JointBatches
from broker.work import Actor

Rows = Sequence[Sequence[Row]]


@dataclass(frozen=True)
class Read:
    """What a customer asks for by commands; `supposed` is what it is supposed to be, as long as nothing confirmed it.

    `read_alone` reads it in a message of its own, and raises as that does.
    """

    actor: Actor
    supposed: Supposed | None
    commands: Sequence[Command]
    read_alone: Callable[[], Awaitable[Rows]]


class SharedReads:
    """The reads of customers that a process is asked for: in one message, or where that fails each in its own."""

    def __init__(self, database: Database, turnstile: Turnstile, limits: TimeLimits) -> None:
        self.database, self.turnstile, self.limits = database, turnstile, limits
        self.batches = JointBatches[str, Read, Rows](self._read_together, _read_apart, turnstile.wait_seconds)

    async def read(self, read: Read) -> Rows:
        """Read with others that are asked for meanwhile; returns the rows of each command.

        Raises: Unauthenticated, Busy, TooManyAtOnce.
        """
        assert read.actor.customer_id is not None, "what staff reads is not confined to tenants"
        return await self.batches.ask(read.actor.customer_id, read)

    async def _read_together(self, reads: Sequence[Read]) -> list[Rows | Exception]:
        """Read all in one message; those who ask for the very same get the same rows."""
        questions = join_questions([each.supposed for each in reads if each.supposed is not None])
        asked: list[Sequence[Command]] = []
        for each in reads:
            if each.commands not in asked:
                asked.append(each.commands)
        tenants = ",".join(sorted({str(each.actor.customer_id) for each in reads}))
        async with self.turnstile.pass_together(reads[0].actor):
            found = await self.database.read(
                [*questions, *chain.from_iterable(asked)], Scope.TENANTS, tenants, limits=self.limits
            )
        rows = iter(found[len(questions) :])
        shares = [[next(rows) for _command in commands] for commands in asked]
        return [_tell(each, found, shares[asked.index(each.commands)]) for each in reads]


def _tell(read: Read, found: Rows, own: Rows) -> Rows | Exception:
    """Tell a customer its rows, once it is confirmed by the first that were found."""
    try:
        if read.supposed is not None:
            read.supposed.confirm_by(found[0])
    except errors.Unauthenticated as error:
        return error
    return own


async def _read_apart(_customer_id: str, reads: Sequence[Read]) -> list[Rows | Exception]:
    told: list[Rows | Exception] = []
    for read in reads:
        try:
            told.append(await read.read_alone())
        except Exception as error:  # noqa: BLE001 (whatever it is, it is this read's own)
            told.append(error)
    return told
