"""Ops' home: what needs somebody now, and how full the house is."""

from fastapi.responses import HTMLResponse

from broker.console.frame.page import OpsPage, page_router
from broker.console.frame.panels import Panel
from broker.console.ops.home_view import list_need_rows
from broker.console.ops.pools_view import draw_floor
from broker.console.ops.queues_view import list_reasons
from broker.console.ops.reading import open_work, read_overview
from broker.operations.attention import list_needs, read_service
from broker.persistence.marks import PLANNED, VERIFIED

router = page_router("/ops")


@router.get("/home")
async def show_home(page: OpsPage) -> HTMLResponse:
    """Show ops what needs it."""
    seen = await read_overview(page)
    service = await read_service(await open_work(page), seen)
    rows = list_need_rows(list_needs(seen, service), seen.names)
    return page.show(
        "ops/home.html",
        needs=Panel.of(rows, seen.facts.now, shown=len(rows), is_filtered=False),
        house=Panel.ready(draw_floor(seen), seen.facts.now),
        waiting=sum(each.jobs for each in seen.facts.waiting),
        running=len(seen.facts.holders),
        planned=service.marks.get(PLANNED),
        verified=service.marks.get(VERIFIED),
        pending=service.pending,
        reasons=list_reasons(seen, None),
    )
