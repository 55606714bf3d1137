"""The page behind each problem's `type`: what it means, when it comes, and what to do about it."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException

from broker.http.problems import OTHER_PROBLEMS, STATUS_OF, slug_of, title_of


@dataclass(frozen=True)
class ProblemType:
    """One type of problem: its slug, its title, and the explanation that its docstring goes on with."""

    slug: str
    title: str
    status: HTTPStatus
    explanation: str


def list_problem_types() -> list[ProblemType]:
    """List every type of problem that this API answers, in the order of their slugs."""
    return sorted(_read_problem_types(), key=lambda each: each.slug)


def _read_problem_types() -> Iterator[ProblemType]:
    for error, status in STATUS_OF.items():
        _, _, explanation = (inspect.getdoc(error) or "").partition("\n\n")
        yield ProblemType(slug_of(error), title_of(error), status, explanation)
    for slug, (status, title, explanation) in OTHER_PROBLEMS.items():
        yield ProblemType(slug, title, status, explanation)


def add_problem_pages(app: FastAPI) -> None:
    """Serve `/problems`, and a page for each type below it: anybody may read them."""

    @app.get("/problems", include_in_schema=False)
    def list_problems() -> HTMLResponse:
        return HTMLResponse(_load_template().render(problems=list_problem_types(), title="Problems"))

    @app.get("/problems/{slug}", include_in_schema=False)
    def get_problem(slug: str) -> HTMLResponse:
        found = [each for each in list_problem_types() if each.slug == slug]
        if not found:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no problem type {slug!r}; /problems lists them.")
        return HTMLResponse(_load_template().render(problems=found, title=found[0].title))


@cache
def _load_template() -> Template:
    environment = Environment(
        loader=PackageLoader("broker.http", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _mark_code
    return environment.get_template("problems.html.j2")


def _mark_code(text: str) -> Markup:
    """Set what stands between backticks as code; the text itself is escaped."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  it is escaped
