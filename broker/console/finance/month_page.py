"""The month of finance."""

from fastapi.responses import HTMLResponse

from broker.console.frame.page import FinancePage, page_router

router = page_router("/finance")


@router.get("/month")
async def show_month(page: FinancePage) -> HTMLResponse:
    """Show finance its month."""
    await page.begin()
    return page.show("finance/month.html")
