"""Signing in by OpenID Connect: to the provider, and back from it into a session of the console."""

from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from broker import errors
from broker.console.frame.page import PREFIX, SIGN_IN, show_error
from broker.console.frame.security import is_loopback, is_private_line, secure
from broker.console.frame.sign_in import is_own_page, set_session, show_form
from broker.identity.openid import ATTEMPT_LASTS, Provider, find_attempt
from broker.identity.people import read_identity, sign_in_person
from broker.identity.sessions import NewSession, begin_session
from broker.system import System

ATTEMPT_COOKIE = "broker_sign_in"
BEGIN, BACK = f"{SIGN_IN}/openid", f"{SIGN_IN}/openid/back"

router = APIRouter(prefix=PREFIX, include_in_schema=False)


@router.get("/sign-in/openid")
async def go_to_provider(request: Request) -> Response:
    """Send the browser to the provider, with what must come back with it in a cookie."""
    services = request.app.state.services
    try:
        provider = _get_provider(request)
        wanted = request.query_params.get("next", "")
        address, attempt = await provider.begin(_find_way_back(request), wanted, services.now.timestamp())
    except errors.Unauthenticated as error:
        return secure(show_form(request, error, "", status=HTTPStatus.UNAUTHORIZED, by_provider=True))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
        return secure(await show_error(request, error))
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    response.set_cookie(
        ATTEMPT_COOKIE,
        attempt.seal(services.secret),
        max_age=int(ATTEMPT_LASTS.total_seconds()),
        path=SIGN_IN,
        secure=not (request.url.scheme == "http" and is_loopback(request)),
        httponly=True,
        samesite="lax",  # the provider sends the browser back from another site
    )
    return secure(response)


@router.get("/sign-in/openid/back")
async def come_back(request: Request) -> Response:
    """Begin a session for who has come back from the provider, and go to where it wanted to."""
    services = request.app.state.services
    attempt = find_attempt(services.secret, request.cookies.get(ATTEMPT_COOKIE), services.now.timestamp())
    try:
        provider = _get_provider(request)
        claims = await provider.finish(_find_way_back(request), request.query_params, attempt)
        session = await _begin_session(System(request.app.state.database, services), claims)
    except errors.Unauthenticated as error:
        response: Response = show_form(request, error, "", status=HTTPStatus.UNAUTHORIZED, by_provider=True)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as a page)
        response = await show_error(request, error)
    else:
        wanted = "" if attempt is None else attempt.next_page
        response = RedirectResponse(wanted if is_own_page(wanted) else f"{PREFIX}/", HTTPStatus.SEE_OTHER)
        set_session(request, response, session)
    response.delete_cookie(ATTEMPT_COOKIE, path=SIGN_IN)
    return secure(response)


def _get_provider(request: Request) -> Provider:
    """Get the provider, for a line that nobody else reads. Raises: NotFound, Forbidden."""
    provider: Provider | None = request.app.state.openid
    if provider is None:
        raise errors.NotFound("page", request.url.path)
    if not is_private_line(request):
        raise errors.Forbidden("Sign in over TLS, or on the machine of the broker itself.")
    return provider


def _find_way_back(request: Request) -> str:
    """Find the address that the provider sends people back to: on the host by which they came."""
    public = request.app.state.services.settings.public_url
    return f"{(public or str(request.base_url)).rstrip('/')}{BACK}"


async def _begin_session(system: System, claims: dict[str, object]) -> NewSession:
    """Begin a session for whom the provider has named. Raises: Unauthenticated."""
    identity = read_identity(claims, system.services.settings.oidc_role_claim)
    async with system.work() as work:
        actor = await sign_in_person(work, identity)
        return await begin_session(replace(work, actor=actor))
