"""What of a contract's usage its grants pay (覆盖率), and how long what is left of them lasts (余量预警)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.ledger.books.model import AccountKind
from broker.ledger.grants.commit_usage import Window, read_used_within
from broker.ledger.grants.grant_balances import GrantBalance, read_grant_balances
from broker.ledger.grants.pace import Pace, compute_percent, find_window_start, make_pace
from broker.ledger.tables import Account, RateCorrection, SegmentTotal
from broker.work import Work
from pricing.usage import METERS, Unit


@dataclass(frozen=True)
class MeterCoverage:
    """Grants and usage of one meter of a contract. Units: those of the meter.

    `granted` is what was credited of all its grants, less what was refunded or taken back; `left` is what of those in
    force is free; usage is what the customer pays for, by a grant or otherwise.
    """

    meter: Unit
    granted: int
    left: int
    used_of_grants: int
    used: int
    pace: Pace

    @property
    def used_percent(self) -> Decimal | None:
        """Tell what share of all that was granted is used (使用率)."""
        return compute_percent(self.used_of_grants, self.granted)

    @property
    def covered_percent(self) -> Decimal | None:
        """Tell what share of all usage grants have paid (覆盖率)."""
        return compute_percent(self.used_of_grants, self.used)

    @property
    def left_percent(self) -> Decimal | None:
        return compute_percent(self.left, self.granted)

    @property
    def days_left(self) -> Decimal | None:
        """Tell for how many days what is left lasts at the contract's pace of late; None without grants, or usage."""
        return None if self.granted == 0 else self.pace.compute_days_left(self.left)


async def read_coverage(work: Work, contract_id: str) -> list[MeterCoverage]:
    """Read what grants pay of a contract's usage, meter by meter. Raises: NotFound."""
    terms = await contracts.get_contract(work, contract_id)
    balances = await read_grant_balances(work, await contracts.list_grants(work, contract_id))
    since = find_window_start(terms.starts_at, work.now)
    whole, granted = await _read_used(work, contract_id), await _read_granted(work, contract_id)
    lately = await read_used_since(work, terms, since)
    return [
        MeterCoverage(
            meter=meter,
            granted=granted.get(meter, 0),
            left=sum(each.free for each in own if _is_in_force(each, work)),
            used_of_grants=sum(each.used for each in own),
            used=whole.get(meter, 0),
            pace=make_pace(lately.get(meter, 0), terms.starts_at, work.now),
        )
        for meter, own in ((meter, _of_meter(balances, meter)) for meter in METERS)
    ]


async def _read_granted(work: Work, contract_id: str) -> dict[Unit, int]:
    """Read what came into a contract's grants of each meter and has not left them for where it came from since.

    What comes back as a compensation is not counted again: it goes from grant to grant.
    """
    query = select(Account.unit, -Account.balance).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.ISSUED.value
    )
    return {Unit(unit): quantity for unit, quantity in await work.session.execute(query)}


async def _read_used(work: Work, contract_id: str) -> dict[Unit, int]:
    """Read what a contract's customer pays for of each meter: what was billed, less what was taken back since."""
    sums: Counter[Unit] = Counter()
    for table, sign in ((SegmentTotal, 1), (RateCorrection, -1)):
        query = select(table.unit, func.sum(table.quantity)).where(table.contract_id == contract_id)
        for unit, quantity in await work.session.execute(query.group_by(table.unit)):
            sums[Unit(unit)] += sign * int(quantity)
    return dict(sums)


async def read_used_since(work: Work, terms: ContractTerms, since: datetime) -> dict[Unit, int]:
    """Read what was captured since a moment; what was reported so late that an earlier month bills it tells no pace."""
    used = await read_used_within(work, {terms.id: Window.since(terms, since)})
    return {unit: quantity for (_contract_id, unit), quantity in used.items()}


def _of_meter(balances: Sequence[GrantBalance], meter: Unit) -> list[GrantBalance]:
    return [each for each in balances if each.terms.unit == meter]


def _is_in_force(balance: GrantBalance, work: Work) -> bool:
    return balance.terms.status == GrantStatus.ACTIVE and balance.terms.is_within_term(work.now)
