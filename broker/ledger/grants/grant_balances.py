"""What is left of grants, what they paid for, and how long they last: 余量, 使用率, 抵扣明细."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select

from broker.contracts.terms.model import GrantTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.grants.pace import PACE_WINDOW, Pace, compute_percent, make_pace
from broker.ledger.grants.past_use import AHEAD, Span, read_use
from broker.ledger.tables import Account, Capture, HoldLeg
from broker.work import Work
from pricing.usage import Unit


@dataclass(frozen=True)
class GrantBalance:
    """A grant and where its units are. Units: the grant's own.

    What is neither free nor held nor used of a credited grant has left it: expired, made void, refunded or carried on.
    """

    terms: GrantTerms
    free: int
    held: int
    used: int
    pace: Pace

    @property
    def gone(self) -> int:
        return self.terms.quantity - self.free - self.held - self.used if self.terms.credited else 0

    @property
    def used_percent(self) -> Decimal | None:
        """Tell the share that was used of what was bought (使用率)."""
        return compute_percent(self.used, self.terms.quantity)

    @property
    def left_percent(self) -> Decimal | None:
        return compute_percent(self.free, self.terms.quantity)

    @property
    def days_left(self) -> Decimal | None:
        """Tell for how many days it lasts at its pace of late; None where it is not drawn from."""
        return self.pace.compute_days_left(self.free)


@dataclass(frozen=True)
class _Legs:
    held: int = 0
    used: int = 0


async def read_grant_balances(work: Work, grants: Sequence[GrantTerms]) -> list[GrantBalance]:
    """Read where the units of grants are, in as many statements as for one."""
    ids = [grant.id for grant in grants]
    free, legs, lately = await _read_free(work, ids), await _read_legs(work, ids), await _read_lately(work, grants)
    return [
        GrantBalance(
            terms=grant,
            free=free.get(grant.id, 0),
            held=legs.get(grant.id, _Legs()).held,
            used=legs.get(grant.id, _Legs()).used,
            pace=make_pace(lately.get(grant.id, 0), max(grant.effective_at, grant.created_at), work.now),
        )
        for grant in grants
    ]


async def _read_free(work: Work, grant_ids: Sequence[str]) -> dict[str | None, int]:
    query = select(Account.grant_id, Account.balance).where(
        Account.grant_id.in_(grant_ids), Account.kind == AccountKind.GRANTED.value
    )
    return {row.grant_id: row.balance for row in await work.session.execute(query)}


async def _read_legs(work: Work, grant_ids: Sequence[str]) -> dict[str | None, _Legs]:
    held = func.sum(HoldLeg.held - HoldLeg.captured - HoldLeg.released)
    query = select(HoldLeg.grant_id, held, func.sum(HoldLeg.captured)).where(HoldLeg.grant_id.in_(grant_ids))
    rows = await work.session.execute(query.group_by(HoldLeg.grant_id))
    return {grant_id: _Legs(int(held), int(used)) for grant_id, held, used in rows}


async def _read_lately(work: Work, grants: Sequence[GrantTerms]) -> Counter[str | None]:
    """Read what grants have paid for in the time that tells a pace, by their ids."""
    contract_ids = sorted({grant.contract_id for grant in grants})
    spans = [Span(each, work.now - PACE_WINDOW, work.now + AHEAD) for each in contract_ids]
    lately: Counter[str | None] = Counter()
    for sums in await read_use(work, spans):
        for use, quantity in sums.items():
            lately[use.grant_id] += quantity
    return lately


@dataclass(frozen=True)
class GrantDraw:
    """What a grant paid of some intervals of a run, by its number among all draws. Units: the meter's; yuan."""

    number: int
    grant_id: str
    contract_id: str
    job_id: str
    run_id: str
    first_sequence: int
    last_sequence: int
    meter: Unit
    quantity: int
    unit_price: Decimal
    month: str
    created_at: datetime


async def list_draws(
    work: Work, grant_id: str, *, limit: int, before: int | None
) -> tuple[list[GrantDraw], int | None]:
    """List what a grant paid for, newest first: draws with a number below `before`, and where to go on."""
    query = select(Capture).where(Capture.grant_id == grant_id)
    if before is not None:
        query = query.where(Capture.id < before)
    rows = list(await work.session.scalars(query.order_by(Capture.id.desc()).limit(limit + 1)))
    page = [_to_draw(row, grant_id) for row in rows[:limit]]
    return page, page[-1].number if len(rows) > limit else None


def _to_draw(row: Capture, grant_id: str) -> GrantDraw:
    return GrantDraw(
        number=row.id,
        grant_id=grant_id,
        contract_id=row.contract_id,
        job_id=row.job_id,
        run_id=row.run_id,
        first_sequence=row.first_sequence,
        last_sequence=row.last_sequence,
        meter=Unit(row.unit),
        quantity=row.quantity,
        unit_price=row.unit_price,
        month=row.month,
        created_at=row.created_at,
    )
