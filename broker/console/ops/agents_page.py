"""The agents: which serve a pool, since when one is silent, and what release and protocol each speaks."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

import broker
from broker.capacity import agents
from broker.capacity.model import AGENT_PROTOCOL, AgentState
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, page_router
from broker.console.frame.panels import Panel
from broker.console.ops.reading import open_work

router = page_router("/ops")
PAGE_ROWS = 50
COLUMNS = (
    Column(N_("Pool")),
    Column(N_("Agent")),
    Column(N_("State")),
    Column(N_("Last seen"), is_number=True),
    Column(N_("Engine")),
    Column(N_("GPUs"), is_number=True),
    Column(N_("Load for each core"), is_number=True),
    Column(N_("Version")),
    Column(N_("Protocol"), is_number=True),
    Column(N_("Since")),
)


@router.get("/agents")
async def show_agents(
    page: OpsPage,
    pool: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> HTMLResponse:
    """Show the agents that have ever served a pool, the newest first."""
    work = await open_work(page)
    found = await agents.read_page(work, pool, limit=PAGE_ROWS, cursor=cursor)
    rows = [(agent, agents.judge(work, agent)) for agent in found.agents]
    return page.show(
        "ops/agents.html",
        agents=Panel.of(rows, page.now, shown=len(rows), is_filtered=pool is not None),
        columns=COLUMNS,
        listing=Listing(len(rows), found.total, found.next_cursor, cursor),
        pool=pool,
        silent=sum(state is AgentState.SILENT for _agent, state in rows),
        own_version=broker.__version__,
        own_protocol=AGENT_PROTOCOL,
    )
