"""How far contracts have used what they committed to: at any time, and when a period of it is over.

What counts is the usage that invoices ask for: neither gifts nor hours that were paid ahead, by the months that it is
of, however late it is told; and hours that were lost by our doing and came back too late to be used (`late_losses.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.closed_months import find_closed, find_open_month, list_closed_of
from broker.ledger.grants.commit_periods import (
    CommitPeriod,
    Judged,
    UsedByMonth,
    count_of,
    find_earlier,
    find_last_terms,
    group_by_commitment,
    judge_periods,
    list_periods,
)
from broker.ledger.grants.commit_usage import Metered, Window, read_used, read_used_within
from broker.ledger.grants.late_losses import read_late_losses
from broker.ledger.grants.pace import Pace, make_pace
from broker.work import Work
from pricing.commitment import Attainment, compute_owed, count_carried, count_unused
from pricing.money import Money
from pricing.usage import METERS, Unit


@dataclass(frozen=True)
class Commitment:
    """A period's commitment as it stands, and as it will be at this pace. `trues_up`: what is unused is charged.

    `earlier` are the years before it that were trued up by themselves: what they used beyond theirs counts for it.
    Hours are in GPU-seconds; `tokens` are those that were bought at signing, which are paid ahead.
    """

    period: CommitPeriod
    attained: Attainment
    expected: Attainment
    pace: Pace
    trues_up: bool
    tokens: "TokenCommitment"
    earlier: tuple[Attainment, ...] = ()

    @property
    def carried(self) -> int:
        """Tell what earlier years used beyond what they had committed to. Units: GPU-seconds."""
        return count_carried(self.earlier)

    def charge(self, attained: Attainment) -> Money:
        """Tell what is charged for what is unused: nothing where it was paid ahead.

        Below zero it gives back what an earlier year was charged for hours that were used later.
        """
        if not self.trues_up:
            return Money.zero()
        return compute_owed([*self.earlier, attained]) - compute_owed(self.earlier)


@dataclass(frozen=True)
class TokenCommitment:
    """Tokens of a period: committed to at signing, used whoever paid for them, and expected at this pace."""

    committed: int
    used: int
    expected: int
    pace: Pace


@dataclass(frozen=True)
class TrueUp:
    """What all periods of a contract that are over owe for unused hours. Units: GPU-seconds.

    `last_month` bills the latest of them. `commitments` are what it is owed of, each with its years.
    """

    owed: Money
    unused: int
    last_month: str
    commitments: tuple[tuple[Attainment, ...], ...] = ()


async def read_commitment(work: Work, contract_id: str) -> Commitment:
    """Read how far a contract has used its commitment of the period under way, or of its last. Raises: NotFound."""
    return (await read_commitments(work, [await contracts.get_contract(work, contract_id)]))[contract_id]


async def read_commitments(work: Work, signed: Sequence[ContractTerms]) -> dict[str, Commitment]:
    """Read how far contracts have used their commitments, by their ids, in as many statements as of one.

    One of which an earlier period is over is asked for what was lost too late to be used, by itself.
    """
    used = await read_used(work, [terms.id for terms in signed])
    judged = {terms.id: await _judge(work, terms, list_periods(terms, work.now), used) for terms in signed}
    windows = {terms.id: Window.of(terms, judged[terms.id][-1].period.starts_at, work.now) for terms in signed}
    lately = await read_used_within(work, windows)
    return {terms.id: _describe(terms, judged[terms.id], used, lately, work.now) for terms in signed}


def _describe(
    terms: ContractTerms,
    judged: Sequence[Judged],
    used: Mapping[Metered, UsedByMonth],
    lately: Mapping[Metered, int],
    now: datetime,
) -> Commitment:
    """Describe a contract's latest period by what it has used, in all and of late. Pure."""
    period, attained = judged[-1].period, judged[-1].attained
    paces = {unit: make_pace(lately.get((terms.id, unit), 0), period.starts_at, now) for unit in METERS}
    rest = int((period.ends_at - max(now, period.starts_at)).total_seconds())
    last = find_last_terms(terms, period, now)
    tokens = count_of(period, used[terms.id, Unit.TOKENS], terms, is_first=len(judged) == 1)
    return Commitment(
        period=period,
        attained=attained,
        expected=attained.expect(paces[Unit.GPU_SECONDS].project(rest)),
        pace=paces[Unit.GPU_SECONDS],
        trues_up=last.trues_up,
        tokens=TokenCommitment(
            last.committed_tokens, tokens, tokens + paces[Unit.TOKENS].project(rest), paces[Unit.TOKENS]
        ),
        earlier=tuple(find_earlier(judged, len(judged) - 1)),
    )


async def _judge(
    work: Work, terms: ContractTerms, periods: Sequence[CommitPeriod], used: Mapping[Metered, UsedByMonth]
) -> list[Judged]:
    ends = [period.ends_at for period in periods if period.ends_at <= work.now]
    lost = await read_late_losses(work, terms, min(ends)) if ends else []
    return judge_periods(terms, periods, used[terms.id, Unit.GPU_SECONDS], work.now, lost)


async def find_true_ups(work: Work, terms: Collection[ContractTerms], month: str) -> dict[str, TrueUp]:
    """Find what the periods of contracts that are over owe, by contract: where this month is the one to true them up.

    That is the first month that is still open, from the last month of the latest period on.
    """
    over = {each.id: (each, last[-1].last_month) for each in terms if (last := _list_over(each, work.now))}
    closed = await list_closed_of(work, over.keys()) if over else {}
    due = [each for each, last in over.values() if find_open_month(closed[each.id], last) == month]
    return {each.id: await _settle_periods(work, each, over[each.id][1]) for each in due}


async def _settle_periods(work: Work, terms: ContractTerms, last_month: str) -> TrueUp:
    commitments = group_by_commitment(await _judge_over(work, terms))
    owed = sum((compute_owed(own) for own in commitments), Money.zero())
    unused = sum(count_unused(own) for own in commitments)
    return TrueUp(owed, unused, last_month, tuple(map(tuple, commitments)))


async def list_true_up_months(work: Work) -> list[tuple[str, str]]:
    """List contract and billing month of all true-ups that are due, whether or not anything else is billed there.

    How far a commitment is used is read of those alone whose month is not closed: its invoice has settled the others.
    """
    over = [(terms, each) for terms in await contracts.list_committed(work) for each in _list_over(terms, work.now)]
    closed = await find_closed(work, [(terms.id, period.last_month) for terms, period in over])
    return [
        (terms.id, period.last_month)
        for terms, period in over
        if (terms.id, period.last_month) not in closed and await _changes_what_is_owed(work, terms, period)
    ]


def _list_over(terms: ContractTerms, now: datetime) -> list[CommitPeriod]:
    """List the periods that are over and that charge for what is unused of them."""
    over = [period for period in list_periods(terms, now) if period.ends_at <= now]
    return [period for period in over if find_last_terms(terms, period, now).trues_up]


async def _judge_over(work: Work, terms: ContractTerms) -> list[Judged]:
    over = _list_over(terms, work.now)
    used = await read_used(work, [terms.id])
    return [each for each in await _judge(work, terms, list_periods(terms, work.now), used) if each.period in over]


async def _changes_what_is_owed(work: Work, terms: ContractTerms, period: CommitPeriod) -> bool:
    judged = await _judge_over(work, terms)
    position = [each.period for each in judged].index(period)
    earlier = find_earlier(judged, position)
    return compute_owed([*earlier, judged[position].attained]) != compute_owed(earlier)
