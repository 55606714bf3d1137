"""The books, for finance: accounts and entries."""

from typing import Annotated

from fastapi import Query

from broker.http.edge import FinanceWork, feature_router
from broker.http.shapes import AsOf, Cursor, Limit, OfContract, OfCustomer, Page, written_like
from broker.ledger.books.model import AccountKind
from broker.ledger.listing_schemas import AccountOut, EntryOut
from broker.ledger.reading.listing import EntryFilter, fetch_accounts, list_entries
from pricing.usage import Unit

router = feature_router("/ledger", "billing")

ENTRY_PATTERN = r"^ent_[0-9]{1,18}$"
EntryCursor = Annotated[
    str | None,
    written_like(ENTRY_PATTERN, "the `next_cursor` of the page before"),
    Query(pattern=ENTRY_PATTERN, description="`next_cursor` of the page before.", examples=["ent_17"]),
]


@router.get("/accounts")
async def list_ledger_accounts(
    work: FinanceWork,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    grant_id: Annotated[str | None, Query(description="Only this grant's.", examples=["gra_01k"])] = None,
    unit: Annotated[Unit | None, Query(description="Only in this unit.", examples=["micro_yuan"])] = None,
    kind: Annotated[AccountKind | None, Query(description="Only of this kind.", examples=["receivable"])] = None,
    as_of: AsOf = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[AccountOut]:
    """List the accounts of the ledger with their balances, now or as they were booked at a moment."""
    found, after = await fetch_accounts(
        work,
        as_of=as_of,
        limit=limit,
        cursor=cursor,
        customer_id=customer_id,
        contract_id=contract_id,
        grant_id=grant_id,
        unit=unit,
        kind=kind,
    )
    return Page(data=[AccountOut.of(each) for each in found], next_cursor=after)


@router.get("/entries")
async def list_ledger_entries(
    work: FinanceWork,
    account_id: Annotated[str | None, Query(description="Only of this account.", examples=["acc_01k"])] = None,
    transfer_id: Annotated[str | None, Query(description="Only of this transfer.", examples=["tra_01k"])] = None,
    contract_id: OfContract = None,
    limit: Limit = 20,
    cursor: EntryCursor = None,
) -> Page[EntryOut]:
    """List the entries of the ledger, newest first: each debits one account and credits another by the same amount."""
    before = None if cursor is None else int(cursor.removeprefix("ent_"))
    wanted = EntryFilter(account_id, transfer_id, contract_id)
    found, after = await list_entries(work, wanted, limit=limit, before=before)
    next_cursor = None if after is None else f"ent_{after}"
    return Page(data=[EntryOut.of(each) for each in found], next_cursor=next_cursor)
