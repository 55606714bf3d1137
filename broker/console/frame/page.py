"""The door of every page: cookie → actor → page. What fails is told as a page, with the id of its request.

A page reads in one transaction (`Page.begin`), which is committed before the answer is sent. A form is checked here,
before its handler: it comes from this console and from this session. Its handler asks the API first (`Page.ask`),
which has a transaction of its own, and begins one only to show the form again.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

import broker
from broker import errors
from broker.console.frame.api import Answer, ask_api
from broker.console.frame.csrf import has_csrf_token, make_csrf_token, require_same_origin
from broker.console.frame.formats import Formats
from broker.console.frame.forms import Submitted, read_submitted
from broker.console.frame.locale import Preferences, read_preferences
from broker.console.frame.menu import ROLE_NAMES, MenuGroup, list_groups
from broker.console.frame.problem import read_problem
from broker.console.frame.security import secure
from broker.console.frame.templating import load_environment, render
from broker.console.frame.typed import ask_again, is_carried
from broker.http.access import bind_caller
from broker.http.body import limit_body, read_body
from broker.http.caller import Caller
from broker.http.parameters import Parameters, refuse_unknown
from broker.http.problems import answer_error
from broker.identity.model import SESSION_MARK
from broker.work import Role, Work

PREFIX = "/console"
SIGN_IN, LIVE = f"{PREFIX}/sign-in", f"{PREFIX}/live"
SIGN_IN_AGAIN, SIGN_OUT = f"{SIGN_IN}/again", f"{PREFIX}/sign-out"
SESSION_COOKIE = "broker_session"
# Which panels of a page a stream asks for, said back with them, and whether none of them will change any more
# (`frame/live.py`).
PARTS_HEADER, OVER_HEADER = "X-Console-Parts", "X-Console-Over"
# What of the API's answer to a fault goes with its page.
PASSED_ON = frozenset({"allow", "retry-after", "x-request-id"})
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass
class Page:
    """One request of a person who is signed in. `token` is that of the session, which is a bearer of the API, too."""

    request: Request
    caller: Caller
    token: str
    preferences: Preferences
    menu: list[MenuGroup] = field(default_factory=list)

    @property
    def role(self) -> Role:
        return self.caller.actor.role

    @property
    def role_name(self) -> str:
        """Name the role, in words that a template translates."""
        return ROLE_NAMES[self.role]

    @property
    def now(self) -> datetime:
        return self.caller.services.now

    @property
    def formats(self) -> Formats:
        """How this page writes numbers, for what no template writes."""
        return Formats(self.preferences.language, self.caller.services.settings.time_zone)

    @property
    def csrf_token(self) -> str:
        return make_csrf_token(self.caller.services.secret, self.token)

    @property
    def part(self) -> str | None:
        """Tell which panel alone is asked for: the one that will take its place in the page that is already there."""
        return find_part(self.request)

    async def begin(self) -> Work:
        """Begin the page's own transaction. Raises: Unauthenticated, Busy, TooManyAtOnce."""
        return await self.caller.begin()

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Ask the REST API as this person (`frame/api.py`), before a transaction is begun."""
        assert self.caller.work is None, "the API has a transaction of its own: ask it before this page begins one"
        return await ask_api(self.request, self.token, method, path, body, **options)

    async def read_form(self) -> Submitted:
        return await read_submitted(self.request)

    def link(self, **changes: str | int | None) -> str:
        """Write the address of this page with some parameters changed; None takes one away."""
        return change_query(self.request.url.path, self.request.url.query, changes)

    @property
    def address(self) -> str:
        """Write the address of this page, with its query."""
        return change_query(self.request.url.path, self.request.url.query, {})

    def show(self, template: str, *, status: int = 200, is_over: bool = False, **told: Any) -> HTMLResponse:
        """Show a template: all of it, or where a panel alone is asked for the block of that name.

        `is_over`: nothing of a live page will change any more, so that its stream ends.
        """
        time_zone = self.caller.services.settings.time_zone
        environment = load_environment(self.preferences.language, time_zone, template.partition("/")[0])
        of_all = {**list_told(self.request, self.preferences), "page": self, "now": self.now, "is_over": is_over}
        assert told.keys().isdisjoint(of_all), "what every template is told has these names"
        told = {**of_all, **told}
        parts = self.request.headers.get(PARTS_HEADER)
        if parts is not None:
            rendered = {each: render(environment, template, each, told) for each in parts.split(",")}
            headers = {PARTS_HEADER: parts, **({OVER_HEADER: "1"} if is_over else {})}
            return HTMLResponse(json.dumps(rendered), 200, headers, "application/json")
        return HTMLResponse(render(environment, template, self.part, told), status)

    def go_to(self, path: str) -> Response:
        """Answer a form that was taken: the browser goes on to a page, and reloading that sends nothing again."""
        if "HX-Request" in self.request.headers:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": path})
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def find_part(request: Request) -> str | None:
    """Find the id of the panel that a request of a page's script is for; None where it wants the whole page."""
    if request.headers.get("HX-Request-Type") != "partial":
        return None
    return request.headers.get("HX-Target", "").partition("#")[2] or None


def change_query(path: str, query: str, changes: Mapping[str, str | int | None]) -> str:
    """Write an address with some parameters of its query changed; those that are None are taken away."""
    kept = [(name, value) for name, value in parse_qsl(query) if name not in changes]
    added = [(name, str(value)) for name, value in changes.items() if value is not None]
    return f"{path}?{urlencode([*kept, *added])}" if kept or added else path


def list_told(request: Request, preferences: Preferences) -> dict[str, Any]:
    """List what every template is told, whether somebody is signed in or not."""
    return {
        "preferences": preferences,
        "version": broker.__version__,
        "path": request.url.path,
        "time_zone": request.app.state.services.settings.time_zone,
        "page": None,
        "is_part": find_part(request) is not None,
    }


class ConsoleRoute(APIRoute):
    """A page: its handler runs as the actor of the session, and what it raises becomes a page."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.parameters = Parameters.of(self.dependant)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request = drop_empty_parameters(request)
            try:
                request.state.parameters = self.parameters
                return secure(await self._answer(request, usual))
            except errors.Unauthenticated:
                return secure(ask_to_sign_in(request))
            except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
                return secure(await show_error(request, error))

        return handle

    async def _answer(self, request: Request, usual: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
        async with AsyncExitStack() as stack:
            page = await open_page(request, stack)
            page.request = request = limit_body(request, page.caller.services)
            stack.push_async_callback(request.close)
            await read_body(request)
            if request.method in WRITING:
                require_same_origin(request)
                if not await has_csrf_token(request, page.csrf_token):
                    return refuse_earlier(request)
            return refuse_file(request, await usual(request))


def refuse_earlier(request: Request) -> Response:
    """Give a form of an earlier session back to who typed it, to be sent again. Raises: Forbidden."""
    if is_carried(request):
        return ask_again(SIGN_IN_AGAIN, request)
    raise errors.Forbidden("This page is of an earlier session; load it again, and send the form once more.")


def refuse_file(request: Request, answer: Response) -> Response:
    """Refuse to hand a file, or a stream, to who asks for panels: it is not even begun. Raises: NotFound."""
    if PARTS_HEADER in request.headers and answer.status_code == HTTPStatus.OK and PARTS_HEADER not in answer.headers:
        raise errors.NotFound("panel", request.url.path)
    return answer


async def open_page(request: Request, stack: AsyncExitStack) -> Page:
    """Find whose session it is. Raises: Unauthenticated, Busy."""
    state, token = request.app.state, request.cookies.get(SESSION_COOKIE)
    if not token or not token.startswith(SESSION_MARK):
        raise errors.Unauthenticated("Sign in first.")
    actor = await state.bearers.authenticate(token)
    bind_caller(request, actor)
    caller = Caller(actor, state.services, state.database, state.turnstile, None, stack, _record_nothing)
    menu = list_groups(state.console_menu, actor.role)
    page = Page(request, caller, token, read_preferences(request), menu)
    request.state.page = page
    return page


async def _record_nothing(_work: Work, _response: Response) -> None:
    """Record nothing: what staff decides goes through the API, which records it."""


def drop_empty_parameters(request: Request) -> Request:
    """Drop the parameters that a form of filters sends empty: nothing was chosen there."""
    query: bytes = request.scope["query_string"]
    if not query:
        return request
    kept = [(name, value) for name, value in parse_qsl(query.decode("latin-1")) if value]
    return Request({**request.scope, "query_string": urlencode(kept).encode()}, request.receive)


def ask_to_sign_in(request: Request) -> Response:
    """Send to the sign-in page, which leads back here; a script of a page has the browser go there.

    What was typed into a form goes with it. A stream is refused: nobody is led to one, and its script tries again less
    and less often.
    """
    if request.url.path == LIVE:
        return Response(status_code=HTTPStatus.UNAUTHORIZED)
    if is_carried(request) and request.url.path != SIGN_OUT:
        return ask_again(SIGN_IN_AGAIN, request)
    back = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    address = SIGN_IN if request.method in WRITING else f"{SIGN_IN}?next={quote(back, safe='')}"
    if "HX-Request" in request.headers:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": address})
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE, path=PREFIX)
    return response


async def show_error(request: Request, error: Exception) -> Response:
    """Tell what went wrong as a page, or where a panel alone was asked for in its place."""
    answer = await answer_error(request, error)
    problem, preferences = read_problem(answer), read_preferences(request)
    page: Page | None = getattr(request.state, "page", None)
    services = request.app.state.services
    environment = load_environment(preferences.language, services.settings.time_zone)
    told = {
        **list_told(request, preferences),
        "page": page,
        "problem": problem,
        "now": services.now,
        "retry": str(request.url) if request.method == "GET" and is_passing(answer.status_code) else None,
    }
    html = render(environment, "frame/problem.html", "problem" if told["is_part"] else None, told)
    kept = {name: value for name, value in answer.headers.items() if name.lower() in PASSED_ON}
    return HTMLResponse(html, answer.status_code, headers=kept)


def is_passing(status: int) -> bool:
    """Tell whether trying again may help: the broker failed, is busy, or was asked too often at once."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def page_for(*roles: Role) -> Callable[..., Coroutine[Any, Any, Page]]:
    """Make a dependency that hands a page to people of these roles. It raises: Forbidden."""

    async def get_page(request: Request) -> Page:
        page: Page = request.state.page
        if page.role not in roles:
            names = ", ".join(sorted(ROLE_NAMES[role] for role in roles))
            raise errors.Forbidden(f"This page is for {names}; you are signed in as {page.role_name}.")
        if request.method == "GET":
            await refuse_unknown(request, request.state.parameters)
        return page

    get_page.roles = sorted(role.value for role in roles)  # type: ignore[attr-defined]
    return get_page


AnyPage = Annotated[Page, Depends(page_for(Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN))]
CustomerPage = Annotated[Page, Depends(page_for(Role.CUSTOMER))]
FinancePage = Annotated[Page, Depends(page_for(Role.FINANCE, Role.ADMIN))]
OpsPage = Annotated[Page, Depends(page_for(Role.OPS, Role.ADMIN))]


def page_router(prefix: str = "") -> APIRouter:
    """Make a router for pages below `/console`; the API's document does not list them."""
    return APIRouter(prefix=f"{PREFIX}{prefix}", route_class=ConsoleRoute, include_in_schema=False)
