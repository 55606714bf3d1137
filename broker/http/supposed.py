"""Whose request it is: supposed by what its token was when it was last looked up, and confirmed by its first message.

A look-up of its own takes as long as the message that answers a plain request. So a route whose work begins with a
transaction has the key looked up again in that transaction's first message, before anything is done or told: a key that
was revoked meanwhile ends at once all the same.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from broker import errors
from broker.persistence.driver import Command, Row
from broker.work import Actor


@dataclass
class Supposed:
    """An actor that is taken for the bearer of a token until the token has been looked up again.

    `question` looks it up in a message with other commands, and `judge` tells from its rows who the bearer is; `look`
    does both by itself. Both raise: Unauthenticated.
    """

    actor: Actor
    question: Command
    judge: Callable[[Sequence[Row]], Actor]
    look: Callable[[], Awaitable[Actor]]
    is_confirmed: bool = field(default=False, init=False)

    def confirm_by(self, rows: Sequence[Row]) -> None:
        """Confirm the actor by the rows of the question. Raises: Unauthenticated."""
        self._require(self.judge(rows))

    async def confirm(self) -> None:
        """Confirm the actor by a look-up of its own, unless a message has done so. Raises: Unauthenticated, Busy."""
        if not self.is_confirmed:
            self._require(await self.look())

    def _require(self, found: Actor) -> None:
        if found != self.actor:
            raise errors.Unauthenticated("This API key has become another's; send the request again.")
        self.is_confirmed = True


def join_questions(asked: Sequence[Supposed]) -> list[Command]:
    """Make one question of those of several actors, for a message that all of them wait for; none where none is asked.

    Each is confirmed by all of its rows.
    """
    if not asked:
        return []
    values: set[str] = set()
    (name,) = asked[0].question.parameters
    for each in asked:
        told = each.question.parameters[name]
        assert isinstance(told, list), "a question names what it looks up in one list"
        values.update(told)
    return [Command(asked[0].question.statement, {name: sorted(values)})]


def add_question(supposed: Supposed | None, commands: Sequence[Command]) -> list[Command]:
    """Put the question of a supposed actor before the commands of a message, where there is one to be confirmed."""
    return [*commands] if supposed is None else [supposed.question, *commands]


def take_answer(supposed: Supposed | None, rows: list[list[Row]]) -> list[list[Row]]:
    """Confirm the actor by the first rows that such a message brought; returns the others. Raises: Unauthenticated."""
    if supposed is None:
        return rows
    supposed.confirm_by(rows[0])
    return rows[1:]
