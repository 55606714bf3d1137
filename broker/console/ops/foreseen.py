"""What a change of settings would bring, before it is saved: it is made, measured and taken back; nothing is kept."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from broker import errors
from broker.console.frame.page import Page
from broker.console.frame.problem import Problem, read_problem
from broker.console.ops.outcome import Outcome, read_outcome
from broker.console.ops.reading import open_work
from broker.http.problems import answer_error
from broker.work import Work

Patch = TypeVar("Patch", bound=BaseModel)


async def foresee(
    page: Page, patch: type[Patch], sent: Any, make: Callable[[Work, Patch], Awaitable[BaseModel]]
) -> Outcome | Problem:
    """Tell what a change would bring, or the problem for which the API would refuse it.

    `make` makes it and tells its effects, as the API would. Its locks go with its savepoint.
    """
    work = await open_work(page)
    try:
        body = patch.model_validate(sent)
        savepoint = await work.session.begin_nested()
        try:
            told = await make(work, body)
        finally:
            await savepoint.rollback()
    except (ValidationError, errors.DomainError) as error:
        return read_problem(await answer_error(page.request, _as_the_api(error)))
    return read_outcome(told.model_dump(mode="json"))


def _as_the_api(error: ValidationError | errors.DomainError) -> Exception:
    if isinstance(error, errors.DomainError):
        return error
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()])
