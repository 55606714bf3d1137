"""What an open month owes beside its usage, as it is now: volume tiers, true-ups, guaranteed GPUs, tax on all of it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, not_, or_, select

from broker.billing.lines.batch import MonthBatch
from broker.billing.lines.guarantees import draft_guarantees
from broker.billing.lines.tax import tax_lines
from broker.billing.lines.tiers import tier_lines
from broker.billing.lines.true_up import true_up_lines
from broker.billing.model import DraftLine, LineKind
from broker.contracts import service as contracts
from broker.contracts.cards.rate_cards import list_cards
from broker.contracts.terms.agreed import make_tax
from broker.contracts.terms.model import CardChoice, ContractTerms
from broker.ledger.tables import ClosedMonth
from broker.reports.costs.costs import Costs, Fact, Place
from broker.reports.costs.reading import Asked
from broker.work import Work
from pricing.money import Money
from pricing.tax import TaxMode


async def read_contract_parts(work: Work, asked: Asked, used: Iterable[Fact]) -> list[Fact]:
    """Read what contracts owe beside their usage in an open month; guarantees by now, as the next invoice shows them.

    A contract that owes no more than tax is taxed by its row; tiers and true-ups of the others are read for all of them
    together.
    """
    billed: defaultdict[str, int] = defaultdict(int)
    places = {}
    for fact in used:
        billed[fact.place.contract_id] += fact.costs.due
        places[fact.place.contract_id] = fact.place._replace(project_id=None, gpu_type=None)
    rows = await _list_owing(work, asked, billed.keys())
    plain = {row.id: make_tax(TaxMode(row.tax_mode), row.tax_rate) for row in rows if row.plain}
    facts = [
        Fact(places[contract_id], Costs(tax=tax.compute(Money(billed[contract_id])).micros), final=False)
        for contract_id, tax in plain.items()
        if tax.mode == TaxMode.ON_TOP and contract_id in places
    ]
    terms = await contracts.load_terms(work, {row.id for row in rows if not row.plain})
    own = {each.id: each for each in terms.values() if asked.month <= each.billing_month(work.now)}
    batch = MonthBatch(asked.month, own)
    parts = await tier_lines(work, batch), await true_up_lines(work, batch)
    for each in own.values():
        settled = [line for lines in parts for line in lines.get(each.id, ())]
        costs = _sum_parts(each, asked.month, work.now, billed[each.id], settled)
        facts += [Fact(Place.of(each, asked.month), costs, final=False)] if costs != Costs() else []
    return facts


async def _list_owing(work: Work, asked: Asked, used: Collection[str]) -> Sequence[Any]:
    """List the contracts that may owe something beside usage in a month that is not closed for them.

    `plain`: that is tax alone, at a rate that was never changed.
    """
    contract = contracts.Contract
    tiered = [listed.card.version for listed in await list_cards(work) if listed.card.has_tiers]
    closed = exists().where(ClosedMonth.contract_id == contract.id, ClosedMonth.month == asked.month)
    follows = or_(contract.rate_card_version.in_(tiered), contract.card_choice != CardChoice.PINNED.value)
    guarantees = func.jsonb_array_length(contract.guaranteed_gpus) > 0
    owes = or_(contract.committed_gpu_hours > 0, func.jsonb_array_length(contract.changes) > 0, guarantees)
    query = select(contract.id, contract.tax_mode, contract.tax_rate, not_(owes | follows).label("plain"))
    query = query.where(~closed, contract.starts_at <= work.now, owes | contract.id.in_(used))
    for column, wanted in ((contract.customer_id, asked.customer_id), (contract.id, asked.contract_id)):
        query = query if wanted is None else query.where(column == wanted)
    return (await work.session.execute(query)).all()


def _sum_parts(terms: ContractTerms, month: str, now: datetime, billed: int, settled: Sequence[DraftLine]) -> Costs:
    lines = [*settled, *draft_guarantees(terms, month, until=now)]
    usage = DraftLine(LineKind.USAGE, "usage of the month", Money(billed))
    taxes = tax_lines(terms.of_month(month).tax, [usage, *lines])
    return Costs(
        tier_settlement=_sum(lines, LineKind.TIER_SETTLEMENT),
        true_up=_sum(lines, LineKind.TRUE_UP),
        guarantee=_sum(lines, LineKind.GUARANTEE),
        tax=_sum(taxes, LineKind.TAX),
    )


def _sum(lines: Iterable[DraftLine], kind: LineKind) -> int:
    return sum(line.amount.micros for line in lines if line.kind == kind)
