"""What ops sees at one moment, and takes back; and how a contract stands among others."""

from typing import Annotated

from fastapi import Depends, Request

from broker.contracts import service as contracts
from broker.http.edge import AnyKey, OpsWork, feature_router
from broker.operations.overview import OverviewReading
from broker.operations.schemas import OverviewOut, StandingOut, UndoneOut
from broker.operations.undoing import undo_decision
from broker.operations.views import show_overview, show_standing

router = feature_router("", "operations")


async def _get_reading(request: Request) -> OverviewReading:
    reading: OverviewReading = request.app.state.overview
    return reading


Reading = Annotated[OverviewReading, Depends(_get_reading)]


@router.get("/operations/overview")
async def get_overview(work: OpsWork, reading: Reading) -> OverviewOut:  # noqa: ARG001 (whoever may)
    """Get queues, pools, why jobs wait and how contracts stand: all of it in one request, of the last half second."""
    return show_overview(await reading.read())


@router.get("/contracts/{contract_id}/standing")
async def get_contract_standing(work: AnyKey, reading: Reading, contract_id: str) -> StandingOut:
    """Get how a contract stands among others, by GPU type: what it is due, holds, borrows and lends, and why it waits.

    No other customer is named.
    """
    await contracts.get_contract(work, contract_id)
    return show_standing(await reading.read(), contract_id)


@router.post("/audit/{entry_id}/undo")
async def undo_audit_entry(work: OpsWork, entry_id: str) -> UndoneOut:
    """Put back what a decision changed of a queue, a pool or a job's priority, from the next cycle on.

    Refused where it was changed since, or is undone already. It is a decision of its own, and can be undone.
    """
    return UndoneOut.of(await undo_decision(work, entry_id))
