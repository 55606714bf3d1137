"""What a month's invoice earns: what it asks for, and what advances and gifts have paid of the month's usage.

The deferred revenue of a grant is always the price, to the fen and without tax, of what is not earned of it: what is
free or held, and what open months have captured. So what an invoice earns of it is the difference, and a grant that is
used up leaves nothing; and so is the price of what leaves it by a refund, by expiry or into another grant, however many
parts that has. Where the invoice's lines, rounded by segment, say a few fen more or less, the account of
rounding has them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_books import MoneyMove, MoneyTransfer, post_money, post_money_transfers, read_deferred
from broker.ledger.books.periods import find_last_day
from broker.ledger.grants.worth import is_deferred, plan_earned, price_signed, price_unearned, share_returned
from broker.ledger.tables import Account, Capture, ClosedMonth, Entry, HoldLeg, Transfer
from broker.work import Work
from pricing.money import Money

# The transfer by which what a final invoice has earned of a grant is deferred again, before the next one says so.
RETURNED = "advance_returned"


@dataclass(frozen=True)
class MonthsInvoice:
    """What a month's invoice says: what it asks for, the tax on that, and what its lines take off for grants."""

    net: Money
    tax: Money
    by_grants: Money


@dataclass(frozen=True)
class BookedInvoice:
    """A contract's final invoice of a month, to be booked; `reference` is its id."""

    terms: ContractTerms
    invoice: MonthsInvoice
    reference: str


async def book_usage(work: Work, month: str, final: Sequence[BookedInvoice]) -> None:
    """Book final invoices of a closed month: what is owed, what advances earn by them, what gifts cost.

    It is of the month's last day. The caller holds the locks of the contracts, of which each has one invoice.
    """
    reading = await _read_earnings(work, month, [each.terms for each in final])
    await post_money_transfers(work, [booked for each in final for booked in _plan_bookings(each, month, reading)])


@dataclass(frozen=True)
class _Earnings:
    """What contracts' grants are worth when a month is booked: gifts and what was returned by contract, else by grant.

    `grants` are those that were paid ahead, by contract.
    """

    grants: Mapping[str, Sequence[GrantTerms]]
    unearned: Mapping[str, int]
    deferred: Mapping[str, Money]
    gifts: Mapping[str, Money]
    returned: Mapping[str, Money]


async def _read_earnings(work: Work, month: str, terms: Sequence[ContractTerms]) -> _Earnings:
    every = await contracts.list_grants_of(work, [each.id for each in terms])
    listed = [grant for grant in every if is_deferred(grant)]
    paid_ahead: defaultdict[str, list[GrantTerms]] = defaultdict(list)
    for grant in listed:
        paid_ahead[grant.contract_id].append(grant)
    unearned = await read_unearned(work, listed) if listed else []
    return _Earnings(
        grants=paid_ahead,
        unearned={grant.id: count for grant, count in unearned},
        deferred=await _read_deferred(work, [grant.id for grant in listed]) if listed else {},
        gifts=await _price_gifts(work, every, month) if every else {},
        returned=await _read_returned(work, [each.id for each in terms], month) if listed else {},
    )


def _plan_bookings(final: BookedInvoice, month: str, reading: _Earnings) -> list[MoneyTransfer]:
    """Plan what a final invoice books; one below zero, which takes back more than it bills, is a credit. Pure."""
    terms, invoice = final.terms, final.invoice
    owed = AccountKind.CUSTOMER_CREDIT if (invoice.net + invoice.tax).micros < 0 else AccountKind.RECEIVABLE
    asked = [MoneyMove(AccountKind.REVENUE, owed, invoice.net), MoneyMove(AccountKind.TAX, owed, invoice.tax)]
    left = {
        grant.id: terms.tax.take_out(price_unearned(grant, reading.unearned[grant.id]))
        for grant in reading.grants.get(terms.id, ())
    }
    given = terms.tax.take_out(reading.gifts.get(terms.id, Money.zero()))
    by_advances = terms.tax.take_out(invoice.by_grants) - given + reading.returned.get(terms.id, Money.zero())
    gift = [MoneyMove(AccountKind.REVENUE, AccountKind.GIFT_COSTS, given)]
    by_kind = {
        "usage_invoiced": asked,
        "advance_earned": plan_earned(reading.deferred, left, by_advances),
        "gift_used": gift,
    }
    day = find_last_day(terms, month)
    return [MoneyTransfer(terms, kind, moves, final.reference, day) for kind, moves in by_kind.items()]


async def return_earned(work: Work, terms: ContractTerms, grant_id: str, quantities: Mapping[str, int]) -> None:
    """Defer again what closed months have earned of units that came back to a grant.

    `quantities` are by the months that take them back. The invoice of such a month finds it booked; so the money goes
    with the units, whatever befalls these before that month is closed. The contract is locked.
    """
    grant = await contracts.get_grant(work, grant_id)
    if not is_deferred(grant):
        return
    left = (await find_left_to_earn(work, terms, [grant]))[grant.id]
    missing = max(Money.zero(), left - await read_deferred(work, grant.id))
    for month, amount in share_returned(grant, terms.tax, missing, quantities).items():
        moves = [MoneyMove(AccountKind.DEFERRED_REVENUE, AccountKind.REVENUE, amount, grant.id)]
        await post_money(work, terms, RETURNED, moves, reference=month)


async def _read_returned(work: Work, contract_ids: Collection[str], month: str) -> dict[str, Money]:
    """Read what was deferred again for what a month takes back, before its invoice was final, by contract."""
    query = (
        select(Transfer.contract_id, func.sum(Entry.amount))
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(Transfer.contract_id.in_(contract_ids), Transfer.kind == RETURNED, Transfer.reference == month)
        .group_by(Transfer.contract_id)
    )
    rows = await work.session.execute(query)
    return {contract_id: Money(int(micros)) for contract_id, micros in rows if contract_id is not None}


async def find_left_to_earn(work: Work, terms: ContractTerms, grants: Sequence[GrantTerms]) -> dict[str, Money]:
    """Find the price, without tax, of what is not earned of grants, by their ids. The contract is locked."""
    unearned = await read_unearned(work, grants)
    return {grant.id: terms.tax.take_out(price_unearned(grant, count)) for grant, count in unearned}


async def find_surplus(work: Work, terms: ContractTerms, grant: GrantTerms) -> Money:
    """Find what is deferred of a grant beyond the price of what is left to earn of it.

    It is the price of units that have left since: never a fen more or less, in however many parts they leave. The
    contract is locked.
    """
    left = await find_left_to_earn(work, terms, [grant])
    return max(Money.zero(), await read_deferred(work, grant.id) - left[grant.id])


async def read_unearned(work: Work, grants: Sequence[GrantTerms]) -> list[tuple[GrantTerms, int]]:
    """Read what of grants no final invoice has billed: what is free, held, and captured in open months.

    What an open month takes back of a closed one is deferred again already (`return_earned`).
    Units: each grant's own.
    """
    ids = [grant.id for grant in grants]
    free = select(Account.grant_id, func.sum(Account.balance)).where(
        Account.grant_id.in_(ids), Account.kind == AccountKind.GRANTED.value
    )
    held = select(HoldLeg.grant_id, func.sum(HoldLeg.held - HoldLeg.captured - HoldLeg.released))
    closed = select(ClosedMonth.month).where(
        ClosedMonth.contract_id == Capture.contract_id, ClosedMonth.month == Capture.month
    )
    corrected = aliased(Capture)
    returned = select(corrected.id).where(corrected.id == Capture.corrects_id, corrected.month != Capture.month)
    captured = select(Capture.grant_id, func.sum(Capture.quantity)).where(
        Capture.grant_id.in_(ids), ~Capture.borne, ~closed.exists(), ~returned.exists()
    )
    queries = [
        free.group_by(Account.grant_id),
        held.where(HoldLeg.grant_id.in_(ids)).group_by(HoldLeg.grant_id),
        captured.group_by(Capture.grant_id),
    ]
    counts: Counter[str | None] = Counter()
    for query in queries:
        for grant_id, count in await work.session.execute(query):
            counts[grant_id] += int(count)
    return [(grant, counts[grant.id]) for grant in grants]


async def _read_deferred(work: Work, grant_ids: Collection[str]) -> dict[str, Money]:
    query = select(Account.grant_id, Account.balance).where(
        Account.grant_id.in_(grant_ids), Account.kind == AccountKind.DEFERRED_REVENUE.value
    )
    balances = {row.grant_id: row.balance for row in await work.session.execute(query)}
    return {grant_id: Money(-balances.get(grant_id, 0)) for grant_id in grant_ids}


async def _price_gifts(work: Work, grants: Sequence[GrantTerms], month: str) -> dict[str, Money]:
    """Price what gifts have paid for in a month, each at its own price, by contract; below zero what they take back.

    A compensation for hours that somebody pays for is none.
    """
    gifts = {grant.id: grant for grant in grants if grant.is_free}
    query = select(Capture.grant_id, func.sum(Capture.quantity).label("sum")).where(
        Capture.month == month, Capture.grant_id.in_(gifts), ~Capture.borne
    )
    prices: defaultdict[str, Money] = defaultdict(Money.zero)
    for row in await work.session.execute(query.group_by(Capture.grant_id)):
        prices[gifts[row.grant_id].contract_id] += price_signed(gifts[row.grant_id], int(row.sum))
    return prices
