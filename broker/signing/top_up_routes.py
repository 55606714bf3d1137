"""Automatic top-up of a contract's hours."""

from broker.http.edge import BillingReader, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfContract, OfCustomer, Order, Page
from broker.identity.verification import require_verified
from broker.signing import top_ups
from broker.signing.purchase_schemas import StandingTopUpOut, TopUpIn, TopUpOut
from broker.signing.tables import TopUpRule

router = feature_router("", "contracts")


@router.get("/top-ups")
async def list_top_ups(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[StandingTopUpOut]:
    """List the contracts that order more by themselves, with what each has left and the order that waits to be paid."""
    query = top_ups.select_top_ups(customer_id=customer_id, contract_id=contract_id)
    rules, after = await fetch_page(work.session, query, TopUpRule, limit=limit, cursor=cursor, order=order)
    return Page(
        data=[StandingTopUpOut.of_standing(each) for each in await top_ups.view_top_ups(work, rules)], next_cursor=after
    )


@router.post("/contracts/{contract_id}/top-up")
async def set_top_up(work: BillingReader, contract_id: str, body: TopUpIn) -> TopUpOut:
    """Let a contract order more by itself below so many free hours: one order at a time, to be paid as any other."""
    await require_verified(work)
    return TopUpOut.of(await top_ups.set_top_up(work, body.read_top_up(contract_id)))


@router.get("/contracts/{contract_id}/top-up")
async def get_top_up(work: BillingReader, contract_id: str) -> TopUpOut:
    return TopUpOut.of(await top_ups.get_top_up(work, contract_id))


@router.delete("/contracts/{contract_id}/top-up")
async def remove_top_up(work: BillingReader, contract_id: str) -> TopUpOut:
    """Let a contract order nothing more by itself; what it has ordered stays."""
    return TopUpOut.of(await top_ups.remove_top_up(work, contract_id))
