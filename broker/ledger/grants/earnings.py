"""What a month's invoice earns: what it asks for, and what advances and gifts have paid of the month's usage.

The deferred revenue of a grant is always the price, to the fen and without tax, of what is not earned of it: what is
free or held, and what open months have captured. So what an invoice earns of it is the difference, and a grant that is
used up leaves nothing; and so is the price of what leaves it by a refund, by expiry or into another grant, however many
parts that has. Where the invoice's lines, rounded by segment, say a few fen more or less, the account of
rounding has them.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_books import MoneyMove, book_gift, post_money, read_deferred
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


async def book_usage(work: Work, terms: ContractTerms, month: str, invoice: MonthsInvoice, *, reference: str) -> None:
    """Book a final invoice of a closed month: what is owed, what advances earn by it, what gifts cost.

    An invoice below zero, which takes back more than it bills, is a credit. The caller holds the contract's lock.
    """
    owed = AccountKind.CUSTOMER_CREDIT if (invoice.net + invoice.tax).micros < 0 else AccountKind.RECEIVABLE
    asked = [MoneyMove(AccountKind.REVENUE, owed, invoice.net), MoneyMove(AccountKind.TAX, owed, invoice.tax)]
    await post_money(work, terms, "usage_invoiced", asked, reference=reference)
    grants = await contracts.list_grants(work, terms.id)
    paid_ahead = [grant for grant in grants if is_deferred(grant)]
    left = await find_left_to_earn(work, terms, paid_ahead)
    given = terms.tax.take_out(await _price_gifts(work, grants, month))
    by_advances = terms.tax.take_out(invoice.by_grants) - given
    returned = await _read_returned(work, terms, month)
    earned = plan_earned(await _read_deferred(work, left), left, by_advances + returned)
    await post_money(work, terms, "advance_earned", earned, reference=reference)
    await book_gift(work, terms, given, reference=reference)


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


async def _read_returned(work: Work, terms: ContractTerms, month: str) -> Money:
    """Read what was deferred again for what a month takes back, before its invoice was final."""
    query = (
        select(func.coalesce(func.sum(Entry.amount), 0))
        .join(Transfer, Transfer.id == Entry.transfer_id)
        .where(Transfer.contract_id == terms.id, Transfer.kind == RETURNED, Transfer.reference == month)
    )
    return Money(int(await work.session.scalar(query) or 0))


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


async def _price_gifts(work: Work, grants: Sequence[GrantTerms], month: str) -> Money:
    """Price what gifts have paid for in a month, each at its own price; a gift that takes back more is below zero.

    A compensation for hours that somebody pays for is none.
    """
    gifts = {grant.id: grant for grant in grants if grant.is_free}
    query = select(Capture.grant_id, func.sum(Capture.quantity).label("sum")).where(
        Capture.month == month, Capture.grant_id.in_(gifts), ~Capture.borne
    )
    rows = await work.session.execute(query.group_by(Capture.grant_id))
    return sum((price_signed(gifts[row.grant_id], int(row.sum)) for row in rows), Money.zero())
