"""What charges of several jobs ask for, locked and read in one message: holds, contracts, legs, and the books of each.

The holds are locked first, then their contracts, each in the order of their ids; what these guard is read after them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, exists, func, select

from broker import errors
from broker.contracts.reading.candidates import make_lock_of, read_candidates
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books.accounts import AccountKey, KnownAccount, key_of
from broker.ledger.holding.charge_books import ChargeBooks, FoundBooks, command_charges
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.rating.charge_limit import LineCount
from broker.ledger.rating.rates import SEGMENT_COLUMNS, to_segment
from broker.ledger.tables import (
    Account,
    ClosedMonth,
    Hold,
    HoldLeg,
    LineTotal,
    RateCorrection,
    SegmentTotal,
)
from broker.persistence.driver import Command, Query, Row, Statement
from broker.persistence.records import RecordFormat, Records
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work
from pricing.money import Money

HOLDS, LEGS = RecordFormat(Hold), RecordFormat(HoldLeg)
OF_JOBS = any_(bindparam("job_ids", type_=ARRAY(Text)))
CONTRACT_IDS = select(Hold.contract_id).where(Hold.job_id == OF_JOBS, is_seen(Hold.customer_id))


def _are_theirs(table: type[Any]) -> ColumnElement[bool]:
    """Make the condition that a row is of a contract that one of the holds is of."""
    own: ColumnElement[bool] = table.contract_id.in_(CONTRACT_IDS)
    return own & is_seen(table.customer_id)


def _is_open(table: type[Any]) -> ColumnElement[bool]:
    """Make the condition that a row's month is not closed: nothing is charged to a closed one."""
    same = (ClosedMonth.contract_id == table.contract_id, ClosedMonth.month == table.month)
    return ~exists().where(*same)


LOCK_HOLDS = Statement(
    select(*HOLDS.columns)
    .where(Hold.job_id == OF_JOBS, is_seen(Hold.customer_id))
    .order_by(Hold.id)
    .with_for_update(key_share=True),
    planned_once=True,
)
LOCK_CONTRACTS, GRANTS = make_lock_of(CONTRACT_IDS)
READ_LEGS = Statement(
    select(*LEGS.columns)
    .join(Hold, Hold.id == HoldLeg.hold_id)
    .where(Hold.job_id == OF_JOBS, is_seen(HoldLeg.customer_id))
    .order_by(HoldLeg.position),
    planned_once=True,
)
ACCOUNTS = Query(
    select(
        *(getattr(Account, name) for name in ("contract_id", "unit", "kind", "grant_id", "month", "cause")),
        Account.id,
        Account.balance,
    ).where(_are_theirs(Account)),
    planned_once=True,
)
CLOSED = Query(select(ClosedMonth.contract_id, ClosedMonth.month).where(_are_theirs(ClosedMonth)), planned_once=True)
SEGMENTS = Query(
    select(*(getattr(SegmentTotal, name) for name in ("contract_id", *SEGMENT_COLUMNS, "quantity"))).where(
        _are_theirs(SegmentTotal), _is_open(SegmentTotal)
    ),
    planned_once=True,
)
CORRECTED = Query(
    select(RateCorrection.contract_id, RateCorrection.month, func.sum(RateCorrection.amount_micros).label("micros"))
    .where(_are_theirs(RateCorrection), _is_open(RateCorrection), RateCorrection.billable)
    .group_by(RateCorrection.contract_id, RateCorrection.month),
    planned_once=True,
)
LINES = Query(
    select(
        *(getattr(LineTotal, name) for name in ("contract_id", "job_id", *SEGMENT_COLUMNS, "quantity", "leads"))
    ).where(LineTotal.job_id == OF_JOBS, is_seen(LineTotal.customer_id)),
    planned_once=True,
)
BOOKS = (ACCOUNTS, CLOSED, SEGMENTS, CORRECTED, LINES)


@dataclass(frozen=True)
class LockedHolds:
    """The holds of jobs, locked, by job: records, which `command_writes` writes with all that was charged to them."""

    views: Mapping[str, HoldView]
    holds: Records[Hold]
    legs: Records[HoldLeg]

    async def command_writes(self) -> list[Command]:
        """Make the commands that write what was charged, after the legs that it was charged to."""
        books = {view.terms.id: view.books for view in self.views.values()}
        charged = await command_charges([books[contract_id] for contract_id in sorted(books)])
        return [*self.legs.command_changes(), *self.holds.command_changes(), *charged]


def lock_charged_holds(job_ids: Collection[str], *, seen_by: Collection[str] | None) -> list[Command]:
    """Make the commands that lock the holds of jobs and their contracts, and read their books.

    `read_charged_holds` reads what they find. `seen_by`: the customers whose rows are the only ones seen; None for
    those who see every customer's.
    """
    asked = {"job_ids": list(job_ids), SEEN_BY.key: seen_by}
    return [Command(each, asked) for each in (LOCK_HOLDS, LOCK_CONTRACTS, GRANTS, READ_LEGS, *BOOKS)]


async def read_charged_holds(
    works: Mapping[str, Work], run_gpu_types: Mapping[str, str | None], found: Sequence[Sequence[Row]]
) -> LockedHolds:
    """Read the holds from the rows of `lock_charged_holds`; holds of a contract share books.

    `works` are the units of work by customer, in one transaction. `run_gpu_types` are, by job, the types of the runs
    whose usage is to be charged; None: that which was quoted.
    Raises: NotFound.
    """
    locked, contract_rows, grant_rows, leg_rows, *book_rows = found
    holds, legs = HOLDS.read(locked), LEGS.read(leg_rows)
    by_job = {hold.job_id: hold for hold in holds}
    for job_id in run_gpu_types:
        if job_id not in by_job:
            raise errors.NotFound("hold of job", job_id)
    theirs: defaultdict[str, list[HoldLeg]] = defaultdict(list)
    for leg in legs:
        theirs[leg.hold_id].append(leg)
    contracts = await read_candidates(next(iter(works.values())), contract_rows, grant_rows)
    books = _read_books(works, contracts, legs, book_rows)
    views = {
        job_id: HoldView(own.terms, hold, theirs[hold.id], own, run_gpu_types[job_id])
        for job_id, hold in by_job.items()
        for own in [books[hold.contract_id]]
    }
    return LockedHolds(views, holds, legs)


def _read_books(
    works: Mapping[str, Work],
    contracts: Mapping[str, tuple[ContractTerms, Sequence[GrantTerms]]],
    legs: Records[HoldLeg],
    found: Sequence[Sequence[Row]],
) -> dict[str, ChargeBooks]:
    parts = [_split(query, rows) for query, rows in zip(BOOKS, found, strict=True)]
    return {
        contract_id: ChargeBooks.of(
            works[terms.customer_id], terms, _find_books(grants, [part[contract_id] for part in parts]), legs
        )
        for contract_id, (terms, grants) in contracts.items()
    }


def _split(query: Query, rows: Iterable[Row]) -> defaultdict[str, list[Any]]:
    """Split rows by their contract, which is their first column."""
    split: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        split[row[0]].append(query.row(*row))
    return split


def _find_books(grants: Sequence[GrantTerms], parts: Sequence[Sequence[Any]]) -> FoundBooks:
    accounts, closed, segments, corrected, lines = parts
    known: dict[AccountKey, KnownAccount] = {key_of(row): KnownAccount(row.id, row.balance) for row in accounts}
    found = FoundBooks(known, grants, {row.month for row in closed})
    for row in segments:
        found.segments[row.month][to_segment(row)] = row.quantity
    for row in lines:
        found.lines[row.job_id][to_segment(row)] = LineCount(row.quantity, row.leads)
    found.corrected.update((row.month, Money(int(row.micros))) for row in corrected)
    return found
