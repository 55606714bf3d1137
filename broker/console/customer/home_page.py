"""The customer's home."""

from fastapi.responses import HTMLResponse

from broker.console.frame.page import Page
from broker.identity import service as identity


async def show_home(page: Page) -> HTMLResponse:
    """Show a customer what it has: the page that `/console/` is for customers (`broker/console/home.py`)."""
    work = await page.begin()
    customer = await identity.get_customer(work, page.caller.actor.customer_id or "")
    return page.show("customer/home.html", customer=customer)
