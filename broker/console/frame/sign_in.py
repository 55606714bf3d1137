"""Signing in with an API key, signing out, and what a person chooses for its pages."""

from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import FormData

from broker import errors
from broker.console.frame.csrf import make_csrf_token, require_named_origin, require_same_origin
from broker.console.frame.locale import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, read_preferences
from broker.console.frame.page import (
    PREFIX,
    SESSION_COOKIE,
    SIGN_IN,
    AnyPage,
    list_told,
    page_router,
    show_error,
)
from broker.console.frame.security import is_loopback, is_private_line, secure
from broker.console.frame.templating import load_environment, render
from broker.console.frame.typed import MOST_BYTES as MOST_TYPED_BYTES
from broker.console.frame.typed import MOST_CARRIED_BYTES, Typed
from broker.http.body import limit_body, read_body
from broker.http.caller import Caller
from broker.http.languages import LANGUAGES
from broker.identity.model import SESSION_MARK
from broker.identity.service import end_sessions_of_key
from broker.identity.sessions import NewSession, begin_session, end_session
from broker.work import Role, Work

A_YEAR = 31_536_000
# Nobody is known yet who sends these forms: they have a few words in them.
MOST_FORM_BYTES = 16 * 1024
# Says in the address that a form of before comes along.
CARRIES = "typed"
PEOPLE = frozenset({Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN})

router = APIRouter(prefix=PREFIX, include_in_schema=False)
signed_in = page_router()


@router.get("/sign-in")
async def show_sign_in(request: Request) -> Response:
    """Show the page that asks for an API key."""
    return secure(show_form(request, None, request.query_params.get("next", "")))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a session for the bearer of a key, and go to where the person wanted to."""
    wanted, typed = "", None
    try:
        form = await _read_form(request, MOST_CARRIED_BYTES if CARRIES in request.query_params else MOST_FORM_BYTES)
        key, wanted = str(form.get("key", "")).strip(), str(form.get("next", ""))
        typed = Typed.read(wanted, str(form.get("typed", "")))
        if not is_private_line(request):
            return secure(show_form(request, None, wanted, typed, status=HTTPStatus.FORBIDDEN))
        session = await _begin_session(request, key)
    except errors.Unauthenticated as error:
        return secure(show_form(request, error, wanted, typed, status=HTTPStatus.UNAUTHORIZED))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
        return secure(await show_error(request, error))
    response: Response = RedirectResponse(wanted if is_own_page(wanted) else f"{PREFIX}/", HTTPStatus.SEE_OTHER)
    if typed is not None and is_own_page(wanted):
        response = _give_back(request, typed, session.token)
    set_session(request, response, session)
    return secure(response)


@router.post("/sign-in/again")
async def carry_typed(request: Request) -> Response:
    """Take what was typed into a form whose session had ended along: through signing in, where nobody is signed in."""
    try:
        typed = await _read_typed(request)
        token = await _find_session(request)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
        return secure(await show_error(request, error))
    return secure(show_form(request, None, typed.action, typed) if token is None else _give_back(request, typed, token))


async def _read_typed(request: Request) -> Typed:
    """Read the form that was sent on. Raises: Forbidden, UploadTooLarge, InvalidRequest; NotFound, for no page."""
    require_named_origin(request)
    typed = Typed.of(request.query_params.get("to", ""), await _read_form(request, MOST_TYPED_BYTES))
    if not is_own_page(typed.action):
        raise errors.NotFound("page", typed.action)
    return typed


async def _find_session(request: Request) -> str | None:
    """Find the token of the session that a request has; None where it has ended. Raises: Busy."""
    token = request.cookies.get(SESSION_COOKIE, "")
    if not token.startswith(SESSION_MARK):
        return None
    try:
        await request.app.state.bearers.authenticate(token)
    except errors.Unauthenticated:
        return None
    return token


def _give_back(request: Request, typed: Typed, token: str) -> Response:
    """Show what was typed, with a button that sends it as a form of this session."""
    preferences, services = read_preferences(request), request.app.state.services
    own = {"typed": typed, "csrf_token": make_csrf_token(services.secret, token), "now": services.now}
    environment = load_environment(preferences.language, services.settings.time_zone)
    return HTMLResponse(render(environment, "frame/typed.html", None, {**list_told(request, preferences), **own}))


async def _read_form(request: Request, most_bytes: int = MOST_FORM_BYTES) -> FormData:
    """Read a form of this console that anybody may send. Raises: Forbidden, UploadTooLarge, InvalidRequest."""
    require_same_origin(request)
    limited = limit_body(request, request.app.state.services, most_bytes=most_bytes)
    try:
        await read_body(limited)
        return await limited.form()
    finally:
        await limited.close()  # of files that were sent along nothing is read


async def _begin_session(request: Request, key: str) -> NewSession:
    """Begin a session. Raises: Unauthenticated, for what is no key of a person; Busy, TooManyAtOnce."""
    state = request.app.state
    if key.startswith(SESSION_MARK):
        raise errors.Unauthenticated("This is no API key.")
    actor = await state.bearers.authenticate(key)
    if actor.role not in PEOPLE:
        raise errors.Unauthenticated("This key is of a program: no page is for it.")
    if actor.scopes is not None:
        raise errors.Unauthenticated("This key has scopes, and pages show all: sign in with a key that has none.")
    async with AsyncExitStack() as stack:
        caller = Caller(actor, state.services, state.database, state.turnstile, None, stack, _record_nothing)
        return await begin_session(await caller.begin())


async def _record_nothing(_work: Work, _response: Response) -> None:
    """Record nothing: who signs in has decided nothing."""


def set_session(request: Request, response: Response, session: NewSession) -> None:
    """Put the session's token into the cookie that no script reads and no other site sends along."""
    seconds = (session.expires_at - request.app.state.services.now).total_seconds()
    response.set_cookie(
        SESSION_COOKIE,
        session.token,
        max_age=int(seconds),
        path=PREFIX,
        secure=not (request.url.scheme == "http" and is_loopback(request)),
        httponly=True,
        samesite="lax",
    )


def is_own_page(address: str) -> bool:
    """Tell whether an address is a page of this console: nobody is led elsewhere after signing in."""
    return address.startswith(f"{PREFIX}/") and "\\" not in address and "//" not in address.partition("?")[0]


def show_form(
    request: Request,
    error: errors.Unauthenticated | None,
    wanted: str,
    typed: Typed | None = None,
    *,
    status: int = 200,
    by_provider: bool = False,
) -> HTMLResponse:
    """Show the form of signing in, and what was wrong: with a key, or with what a provider said."""
    preferences, services = read_preferences(request), request.app.state.services
    told: dict[str, Any] = {
        **list_told(request, preferences),
        "next": wanted,
        "typed": typed,
        "refusal": None if error is None else error.detail,
        "by_provider": by_provider,
        "is_private": is_private_line(request),
        "provider": services.settings.oidc_name if request.app.state.openid is not None else None,
        "host": request.url.netloc,
        "now": services.now,
    }
    environment = load_environment(preferences.language, services.settings.time_zone)
    return HTMLResponse(render(environment, "frame/sign_in.html", None, told), status)


@router.post("/preferences")
async def choose_preferences(request: Request) -> Response:
    """Keep the language and the theme that a person has chosen, and go back to where it was."""
    try:
        form = await _read_form(request)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
        return secure(await show_error(request, error))
    back = str(form.get("back", ""))
    response = RedirectResponse(back if is_own_page(back) else f"{PREFIX}/", HTTPStatus.SEE_OTHER)
    for name, cookie, known in (("language", LANGUAGE_COOKIE, LANGUAGES), ("theme", THEME_COOKIE, THEMES)):
        if form.get(name) in known:
            response.set_cookie(cookie, str(form[name]), max_age=A_YEAR, path=PREFIX, samesite="lax")
    return secure(response)


@signed_in.post("/sign-out")
async def sign_out(page: AnyPage) -> Response:
    """End the session: its token is nobody's any more; where it is wanted, all sessions of the same key with it."""
    form = await page.read_form()
    work = await page.begin()
    if form.get("everywhere"):
        await end_sessions_of_key(work, work.actor.id)
    await end_session(work, page.token)
    response = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE, path=PREFIX)
    return response
