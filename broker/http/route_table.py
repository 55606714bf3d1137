"""Finds the route of a request by the parts of its path, one after the other, as a tree of dictionaries.

FastAPI compares a path with the pattern of one route after the other; with some two hundred of them that took longer
than an empty handler. The table stands before them as a route of its own. What it does not find (another method, a
slash too many, a mounted folder) is FastAPI's to answer, as ever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

SELECTED = "broker.selected_route"


@dataclass(frozen=True)
class TableRoute:
    """A route, and which parts of a path its parameters are: their places with their names."""

    context: RouteContext
    parameters: Sequence[tuple[int, str]]

    @classmethod
    def of(cls, context: RouteContext, parts: Sequence[str]) -> "TableRoute":
        return cls(context, [(place, part[1:-1]) for place, part in enumerate(parts) if _is_parameter(part)])

    def select(self, scope: Scope) -> Scope:
        """Tell what the scope of a request that is for this route has besides, as Starlette's own routes do."""
        parts = split_path(_cut_path(scope)) if self.parameters else ()
        taken = {name: parts[place] for place, name in self.parameters}
        return {"route": self.context.original_route, "endpoint": self.context.endpoint, "path_params": taken}


@dataclass
class Branch:
    """The routes that end here, by method, and the branches below: by a part's own text, and for any part."""

    routes: dict[str, TableRoute] = field(default_factory=dict)
    named: dict[str, "Branch"] = field(default_factory=dict)
    parameter: "Branch | None" = None

    def grow(self, part: str) -> "Branch":
        """Get the branch below for a part of a route's pattern, which is made where it is the first."""
        if not _is_parameter(part):
            return self.named.setdefault(part, Branch())
        if self.parameter is None:
            self.parameter = Branch()
        return self.parameter

    def find(self, method: str, parts: Sequence[str], place: int = 0) -> TableRoute | None:
        """Find the route of the parts from this place on; a part's own text goes before what takes any."""
        if place == len(parts):
            return self.routes.get(method)
        below = self.named.get(parts[place])
        found = below.find(method, parts, place + 1) if below is not None else None
        if found is None and self.parameter is not None and parts[place]:
            found = self.parameter.find(method, parts, place + 1)
        return found


class RouteTable(BaseRoute):
    """The routes of an application as one: it matches what one of them does, and hands the request to that one."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    @cached_property
    def root(self) -> Branch:
        """Make the tree, once: at the start of the service, or with its first request. All routes are there by then."""
        root = Branch()
        for context in _list_plain_routes(self.app):
            parts = split_path(context.path_format or "")
            branch = root
            for part in parts:
                branch = branch.grow(part)
            for method in context.methods or ():
                branch.routes.setdefault(method, TableRoute.of(context, parts))
        return root

    def prepare(self) -> None:
        """Make what requests ask for before the first one comes; all of it stays for as long as the process lives."""
        _ = self.root

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self.find(scope) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        return Match.FULL, {**found.select(scope), SELECTED: found.context.app}

    def find(self, scope: Scope) -> TableRoute | None:
        """Find the route of a request; None for one that only FastAPI finds."""
        return self.root.find(scope["method"], split_path(_cut_path(scope)))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[SELECTED](scope, receive, send)


def _list_plain_routes(app: FastAPI) -> Iterator[RouteContext]:
    """List the routes of which each parameter is one whole part of the path, and a text."""
    for context in iter_route_contexts(app.router.routes):
        if isinstance(context.original_route, APIRoute):
            parts = split_path(context.path_format or "")
            are_texts = all(type(each) is StringConvertor for each in context.param_convertors.values())
            if are_texts and all(_is_parameter(part) or "{" not in part for part in parts):
                yield context


def _cut_path(scope: Scope) -> str:
    """Cut what stands before a proxy's path off a request's."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def split_path(path: str) -> list[str]:
    return path.split("/")


def _is_parameter(part: str) -> bool:
    return part.startswith("{") and part.find("}") == len(part) - 1


def install_route_table(app: FastAPI) -> RouteTable:
    """Have the table asked before FastAPI's own routes are."""
    table = RouteTable(app)
    app.router.routes.insert(0, table)
    return table
