"""Forms: what is filled in, what was refused and at which field, and the key under which it is sent once."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import UploadFile

from broker.console.frame import csrf
from broker.console.frame.problem import Problem

KEY_FIELD, VERSION_FIELD = "idempotency_key", "version"
# More digits than any number that is stored has; Python refuses to read some thousands of them.
MOST_DIGITS = 40


@dataclass(frozen=True)
class Form:
    """A form as it is shown: the values in it, and where it was refused the problem. `key` goes with it when sent."""

    values: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    def choose_version(self, newest: str) -> str:
        """Choose which version of what it changes the form is of: that which it was filled in for, until that is told.

        Where it was refused because it has been changed since, whoever sends it again has seen the newest.
        """
        told = self.problem is not None and self.problem.status == HTTPStatus.PRECONDITION_FAILED
        return newest if told else self.get(VERSION_FIELD) or newest

    def error_of(self, name: str) -> str | None:
        """Find what is wrong with a field; a problem names it as the API does: `name`, `config.epochs`."""
        return None if self.problem is None else self.problem.errors.get(name)


@dataclass(frozen=True)
class Submitted:
    """A form as it was sent: its values by name, and its key."""

    values: Mapping[str, str]
    lists: Mapping[str, list[str]]
    key: str

    @property
    def seen(self) -> str | None:
        """Tell the version of what it changes that the form was filled in for; None for one that has none."""
        return self.values.get(VERSION_FIELD)

    def get(self, name: str) -> str:
        return self.values.get(name, "").strip()

    def given(self, *names: str) -> dict[str, str]:
        """Take those of some fields that are filled in."""
        return {name: self.get(name) for name in names if self.get(name)}

    def refused(self, problem: Problem) -> Form:
        """Make the form that is shown again: with its values, its key, and what is wrong."""
        return Form(self.values, problem, self.key)


def read_whole(text: str) -> int | str:
    """Read a whole number as it was typed; what is none, or longer than any, stays for the API to refuse. Pure."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else text


async def read_submitted(request: Request) -> Submitted:
    """Read the form that a request sends, without what the console itself has put into it."""
    items = [
        (name, value)
        for name, value in (await request.form()).multi_items()
        if not isinstance(value, UploadFile) and name not in {csrf.FIELD, KEY_FIELD}
    ]
    lists: dict[str, list[str]] = {}
    for name, value in items:
        lists.setdefault(name, []).append(value)
    key = (await request.form()).get(KEY_FIELD)
    return Submitted(dict(items), lists, key if isinstance(key, str) and key else secrets.token_urlsafe(16))
