"""Grants (资源包): given, listed with what is left of them, made void; and what each has paid for."""

from typing import Annotated

from fastapi import Query

from broker.contracts import service as contracts
from broker.contracts.terms.model import GrantStatus, GrantTerms
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.shapes import Cursor, IdPrefix, Limit, OfContract, OfCustomer, OfProject, Page, written_like
from broker.ledger import service as ledger
from broker.signing import grants, refunds
from broker.signing.grant_schemas import GrantDrawOut, GrantIn, GrantOut, RefundOut, VoidIn
from broker.work import Work
from pricing.grants import GrantKind

router = feature_router("/grants", "contracts")

DRAW_PATTERN = r"^dra_[0-9]{1,18}$"
DrawCursor = Annotated[
    str | None,
    written_like(DRAW_PATTERN, "the `next_cursor` of the page before"),
    Query(pattern=DRAW_PATTERN, description="`next_cursor` of the page before.", examples=["dra_17"]),
]


@router.post("", status_code=201)
async def create_grant(work: FinanceWork, body: GrantIn) -> GrantOut:
    """Give a promotional or compensation grant: it pays before what was bought, and is never refunded."""
    return await _show(work, await grants.give_grant(work, body.read_gift()))


@router.get("")
async def list_grants(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    project_id: OfProject = None,
    kind: Annotated[GrantKind | None, Query(description="Only of this kind.", examples=["bought"])] = None,
    status: Annotated[
        GrantStatus | None, Query(description="Only in this state; those used up are active.", examples=["active"])
    ] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[GrantOut]:
    """List grants, newest first, each with what is left of it."""
    found, after = await contracts.fetch_grants(
        work,
        limit=limit,
        cursor=cursor,
        customer_id=customer_id,
        contract_id=contract_id,
        project_id=project_id,
        kind=kind,
        status=status,
        id_prefix=id_prefix,
    )
    balances = await ledger.read_grant_balances(work, found)
    return Page(data=[GrantOut.of(balance, work.now) for balance in balances], next_cursor=after)


@router.get("/{grant_id}")
async def get_grant(work: BillingReader, grant_id: str) -> GrantOut:
    return await _show(work, await contracts.get_grant(work, grant_id))


@router.post("/{grant_id}/void")
async def void_grant(work: FinanceWork, grant_id: str, body: VoidIn) -> GrantOut:
    """Take back what is unused of a grant; live jobs keep what they hold, and nothing is paid back."""
    grant, _worth = await grants.void_grant(work, grant_id, body.reason)
    return await _show(work, grant)


@router.post("/{grant_id}/refund")
async def refund_grant(work: FinanceWork, grant_id: str) -> RefundOut:
    """Refund what is unused of a grant that was bought and paid: its price is owed back. Gifts are never refunded."""
    refund = await refunds.refund_grant(work, grant_id)
    (balance,) = await ledger.read_grant_balances(work, [refund.grant])
    return RefundOut.of(refund, balance, work.now)


@router.get("/{grant_id}/draws")
async def list_grant_draws(
    work: BillingReader, grant_id: str, limit: Limit = 20, cursor: DrawCursor = None
) -> Page[GrantDrawOut]:
    """List the intervals that a grant paid for, newest first (抵扣明细)."""
    grant = await contracts.get_grant(work, grant_id)
    before = None if cursor is None else int(cursor.removeprefix("dra_"))
    draws, after = await ledger.list_draws(work, grant.id, limit=limit, before=before)
    next_cursor = None if after is None else f"dra_{after}"
    return Page(data=[GrantDrawOut.of(draw) for draw in draws], next_cursor=next_cursor)


async def _show(work: Work, grant: GrantTerms) -> GrantOut:
    (balance,) = await ledger.read_grant_balances(work, [grant])
    return GrantOut.of(balance, work.now)
