"""The pools, as ops sees them."""

from fastapi.responses import HTMLResponse

from broker.console.frame.page import OpsPage, page_router

router = page_router("/ops")


@router.get("/pools")
async def show_pools(page: OpsPage) -> HTMLResponse:
    """Show ops its pools."""
    await page.begin()
    return page.show("ops/pools.html")
