"""What several of ops' pages read: what there is to see at one moment, and the page's own transaction."""

from broker.console.frame.page import Page
from broker.operations.overview import Overview, OverviewReading
from broker.work import Work


async def read_overview(page: Page) -> Overview:
    """Read what there is to see, or what was seen shortly before: the panels say as of when."""
    reading: OverviewReading = page.request.app.state.overview
    return await reading.read_for_page()


async def open_work(page: Page) -> Work:
    """Open the page's transaction, or tell the one that is open."""
    return page.caller.work or await page.begin()
