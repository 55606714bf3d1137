"""What was booked in a month on the accounts of revenue, deferred revenue and tax, by contract."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select, text

from broker.clock import local_day, next_month
from broker.contracts.tables import Contract, Grant
from broker.identity.tables import Customer
from broker.ledger.books.model import AccountKind
from broker.reports.revenue.waterfall import DeferredGrant, ExpectedMonth, spread_deferred
from broker.work import Work
from pricing.money import Money

DEFERRED, REVENUE, BREAKAGE, TAX = (
    AccountKind.DEFERRED_REVENUE,
    AccountKind.REVENUE,
    AccountKind.BREAKAGE,
    AccountKind.TAX,
)
# By the kind of transfer: what a movement of deferred revenue is.
MOVES = {
    "advance_invoiced": "sold",
    "advance_cancelled": "sold",
    "advance_earned": "recognised",
    "advance_returned": "recognised",
    "credited_units_left": "recognised",
    "breakage": "breakage",
    "grant_refunded": "refunded",
    "advance_carried": "carried",
    "grant_adjusted": "adjusted",
}
# Each entry seen from each of its two accounts, above zero where what is owed or earned grows; up to the month's end.
# What earlier releases booked has no day: it is of the moment of booking.
BOOKED = """
    SELECT a.contract_id, a.customer_id, a.kind, a.grant_id, t.kind AS transfer,
           coalesce(sum(s.amount) FILTER (WHERE t.day < :first), 0)::bigint AS before,
           coalesce(sum(s.amount) FILTER (WHERE t.day >= :first), 0)::bigint AS within
    FROM ledger_accounts a
    CROSS JOIN LATERAL (
        SELECT transfer_id, amount FROM ledger_entries WHERE credit_account_id = a.id
        UNION ALL SELECT transfer_id, -amount FROM ledger_entries WHERE debit_account_id = a.id) s
    JOIN (SELECT id, kind, coalesce(booked_on, (created_at AT TIME ZONE :zone)::date) AS day
          FROM ledger_transfers) t ON t.id = s.transfer_id AND t.day < :following
    WHERE a.unit = 'micro_yuan' AND a.kind IN ('deferred_revenue', 'revenue', 'breakage', 'tax')
      AND (CAST(:customer_id AS text) IS NULL OR a.customer_id = :customer_id)
      AND (CAST(:contract_id AS text) IS NULL OR a.contract_id = :contract_id)
    GROUP BY 1, 2, 3, 4, 5"""


@dataclass(frozen=True)
class Booked:
    """What was booked on one account by one kind of transfer before a month and within it. Units: micro-yuan."""

    contract_id: str
    customer_id: str
    kind: AccountKind
    grant_id: str | None
    transfer: str
    before: int
    within: int


@dataclass(frozen=True)
class RevenueRow:
    """One contract's month. `by_usage`: what its invoices asked for beside advances, less credit notes.

    What is deferred: opening + sold − recognised − breakage − refunded + carried + adjusted = closing. `tax` is what
    was billed of it, less what went back; it is in no other amount.
    """

    customer_id: str
    customer: str
    contract_id: str
    contract_number: str
    opening: Money
    sold: Money
    recognised: Money
    breakage: Money
    refunded: Money
    carried: Money
    adjusted: Money
    closing: Money
    by_usage: Money
    tax: Money

    @property
    def revenue(self) -> Money:
        """Tell all that the month earned: by usage, of advances, and of what lapsed unused."""
        return self.by_usage + self.recognised + self.breakage


@dataclass(frozen=True)
class RevenueReport:
    """The contracts of which anything was booked or is deferred, and when that is expected to be earned."""

    month: str
    rows: Sequence[RevenueRow]
    waterfall: Sequence[ExpectedMonth]


async def report_revenue(
    work: Work, month: str, *, customer_id: str | None = None, contract_id: str | None = None
) -> RevenueReport:
    """Report a calendar month of the house by the day on which money is booked, as the journal does."""
    zone = work.settings.time_zone
    first, following = (date.fromisoformat(f"{each}-01") for each in (month, next_month(month)))
    whose = {"customer_id": customer_id, "contract_id": contract_id}
    asked = {"first": first, "following": following, "zone": zone, **whose}
    booked = [
        Booked(contract, customer, AccountKind(kind), *rest)
        for contract, customer, kind, *rest in await work.session.execute(text(BOOKED), asked)
    ]
    names = await _read_names(work, {each.contract_id for each in booked})
    rows = [_make_row(*names[own[0].contract_id], own) for own in _group(booked)]
    kept = [row for row in rows if any((row.opening.micros, row.closing.micros, row.revenue.micros, row.tax.micros))]
    ends = await _read_ends(work, booked, zone)
    waterfall = spread_deferred(_list_deferred(booked, ends), min(local_day(work.now, zone), following))
    return RevenueReport(month, sorted(kept, key=lambda row: (row.customer, row.contract_id)), waterfall)


def _group(booked: Iterable[Booked]) -> Iterable[list[Booked]]:
    groups: defaultdict[str, list[Booked]] = defaultdict(list)
    for each in booked:
        groups[each.contract_id].append(each)
    return groups.values()


async def _read_names(work: Work, contract_ids: set[str]) -> dict[str, tuple[str, str]]:
    """Read the customer's name and the number of contracts, by their ids."""
    query = select(Contract.id, Customer.name, Contract.contract_number).join(
        Customer, Customer.id == Contract.customer_id
    )
    rows = await work.session.execute(query.where(Contract.id.in_(contract_ids)))
    return {contract_id: (name, number) for contract_id, name, number in rows}


async def _read_ends(work: Work, booked: Iterable[Booked], zone: str) -> dict[str, date | None]:
    """Read the last day of grants of which anything was deferred, in the house's time zone."""
    grant_ids = {each.grant_id for each in booked if each.grant_id is not None}
    rows = await work.session.execute(select(Grant.id, Grant.expires_at).where(Grant.id.in_(grant_ids)))
    return {grant_id: None if end is None else _find_last_day(end, zone) for grant_id, end in rows}


def _find_last_day(expires_at: datetime, zone: str) -> date:
    return local_day(expires_at - timedelta(microseconds=1), zone)


def _make_row(customer: str, contract_number: str, booked: Sequence[Booked]) -> RevenueRow:
    """Make the row of one contract. Pure. Transfers of deferred revenue that nobody knows would break the equation."""
    moved: defaultdict[str, int] = defaultdict(int)
    deferred = [each for each in booked if each.kind == DEFERRED]
    for each in deferred:
        moved[MOVES[each.transfer]] += each.within
    earned = sum(each.within for each in booked if each.kind in {REVENUE, BREAKAGE})
    opening = sum(each.before for each in deferred)
    recognised, breakage = -moved["recognised"], -moved["breakage"]
    return RevenueRow(
        customer_id=booked[0].customer_id,
        customer=customer,
        contract_id=booked[0].contract_id,
        contract_number=contract_number,
        opening=Money(opening),
        sold=Money(moved["sold"]),
        recognised=Money(recognised),
        breakage=Money(breakage),
        refunded=Money(-moved["refunded"]),
        carried=Money(moved["carried"]),
        adjusted=Money(moved["adjusted"]),
        closing=Money(opening + sum(each.within for each in deferred)),
        by_usage=Money(earned - recognised - breakage),
        tax=Money(sum(each.within for each in booked if each.kind == TAX)),
    )


def _list_deferred(booked: Iterable[Booked], ends: Mapping[str, date | None]) -> list[DeferredGrant]:
    sums: defaultdict[str | None, int] = defaultdict(int)
    for each in booked:
        if each.kind == DEFERRED:
            sums[each.grant_id] += each.before + each.within
    return [DeferredGrant(Money(micros), ends.get(grant_id or "")) for grant_id, micros in sums.items() if micros]
