"""Whose request it is: supposed by what its token was when it was last looked up, and confirmed by its first message.

A look-up of its own takes as long as the message that answers a plain request. So a route whose work begins with a
transaction has the key looked up again in that transaction's first message, before anything is done or told: a key that
was revoked meanwhile ends at once all the same.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from broker import errors
from broker.persistence.driver import Command, Row
from broker.work import Actor


@dataclass
class Supposed:
    """An actor that is taken for the bearer of a token until the token has been looked up again.

    `question` looks it up in a message with other commands, and `judge` tells from its rows who the bearer is; `look`
    does both by itself. Both raise: Unauthenticated. `condition` ends its message where the actor is not the bearer.
    """

    actor: Actor
    question: Command
    condition: Command
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

    def confirm_by_condition(self) -> None:
        """Confirm the actor by a message that had the condition in it, and was not ended by it."""
        self.is_confirmed = True

    def _require(self, found: Actor) -> None:
        if found != self.actor:
            raise errors.Unauthenticated("This API key has become another's; send the request again.")
        self.is_confirmed = True


def join_questions(asked: Sequence[Supposed]) -> list[Command]:
    """Make one question of those of several actors, for a message that all of them wait for; none where none is asked.

    Each is confirmed by all of its rows.
    """
    return _join([each.question for each in asked])


def join_conditions(asked: Sequence[Supposed], moment: datetime) -> list[Command]:
    """Make one condition of those of several actors at a moment; none where none is asked."""
    return [
        replace(joined, parameters={**joined.parameters, "moment": moment})
        for joined in _join([each.condition for each in asked])
    ]


def _join(commands: Sequence[Command]) -> list[Command]:
    """Join commands that ask the same of what each names in lists; none of none."""
    if not commands:
        return []
    names = commands[0].parameters
    return [Command(commands[0].statement, {name: sorted(_gather(commands, name)) for name in names})]


def _gather(commands: Sequence[Command], name: str) -> set[str]:
    values: set[str] = set()
    for each in commands:
        told = each.parameters[name]
        assert isinstance(told, list), "what is joined is named in lists"
        values.update(told)
    return values


def add_question(supposed: Supposed | None, commands: Sequence[Command]) -> list[Command]:
    """Put the question of a supposed actor before the commands of a message, where there is one to be confirmed."""
    return [*commands] if supposed is None else [supposed.question, *commands]


def take_answer(supposed: Supposed | None, rows: list[list[Row]]) -> list[list[Row]]:
    """Confirm the actor by the first rows that such a message brought; returns the others. Raises: Unauthenticated."""
    if supposed is None:
        return rows
    supposed.confirm_by(rows[0])
    return rows[1:]
