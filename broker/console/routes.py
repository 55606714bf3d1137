"""The routes of the console, all of them, and its menu."""

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse

from broker.console import home
from broker.console.customer.menu import MENU as CUSTOMER_MENU
from broker.console.customer.routes import ROUTERS as CUSTOMER
from broker.console.finance.menu import MENU as FINANCE_MENU
from broker.console.finance.routes import ROUTERS as FINANCE
from broker.console.frame.files import router as files
from broker.console.frame.live import router as live
from broker.console.frame.openid_sign_in import router as openid_sign_in
from broker.console.frame.page import PREFIX
from broker.console.frame.sign_in import router as sign_in
from broker.console.frame.sign_in import signed_in
from broker.console.ops.menu import MENU as OPS_MENU
from broker.console.ops.routes import ROUTERS as OPS

# The last one takes every path that the others leave.
ROUTERS: tuple[APIRouter, ...] = (
    files,
    sign_in,
    openid_sign_in,
    signed_in,
    live,
    home.router,
    *CUSTOMER,
    *FINANCE,
    *OPS,
    home.nowhere,
)
MENU = (CUSTOMER_MENU, FINANCE_MENU, OPS_MENU)


def add_console(app: FastAPI) -> None:
    """Add the console's routes to the application, which hands over the menu."""
    for router in ROUTERS:
        app.include_router(router)

    @app.get(PREFIX, include_in_schema=False)
    async def go_to_console() -> RedirectResponse:
        """Lead to the console where the last slash is left out."""
        return RedirectResponse(f"{PREFIX}/")
