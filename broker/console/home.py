"""Where `/console/` leads: customers see their home there, staff goes to the first page of its menu."""

from http import HTTPStatus

from fastapi import HTTPException, Response
from fastapi.responses import RedirectResponse

from broker import errors
from broker.console.customer.home_page import show_home
from broker.console.frame.page import AnyPage, page_router
from broker.work import Role

router = page_router()
nowhere = page_router()


@router.get("/")
async def go_home(page: AnyPage) -> Response:
    """Show the home of a person's role."""
    if page.role == Role.CUSTOMER:
        return await show_home(page)
    return RedirectResponse(page.menu[0].items[0].path, HTTPStatus.SEE_OTHER)


@nowhere.get("/{path:path}")
async def find_no_page(page: AnyPage) -> Response:
    """Tell that there is no such page, with the menu beside it."""
    raise errors.NotFound("page", page.request.url.path)


@nowhere.api_route("/{path:path}", methods=["POST", "PUT", "PATCH", "DELETE"])
async def refuse_method(_page: AnyPage) -> Response:
    """Tell, with the menu beside it, that nothing is sent to this address."""
    raise HTTPException(
        HTTPStatus.METHOD_NOT_ALLOWED, "Nothing is sent to this page; open it instead.", {"Allow": "GET, HEAD"}
    )
