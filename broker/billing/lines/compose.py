"""Composing drafts of their parts, in the order in which they stand on the invoice."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from broker.billing.lines.batch import MonthBatch, read_batch
from broker.billing.lines.borne import borne_lines
from broker.billing.lines.corrections import correction_lines
from broker.billing.lines.details import add_details
from broker.billing.lines.guarantees import draft_guarantees
from broker.billing.lines.tax import tax_lines
from broker.billing.lines.tiers import tier_lines
from broker.billing.lines.true_up import true_up_lines
from broker.billing.lines.usage import usage_lines
from broker.billing.model import DraftLine
from broker.contracts.terms.model import ContractTerms
from broker.work import Work

Lines = Mapping[str, Sequence[DraftLine]]
Part = Callable[[Work, MonthBatch], Awaitable[Lines]]

PARTS: tuple[Part, ...] = (usage_lines, correction_lines, tier_lines, true_up_lines)


async def compose_lines(
    work: Work, terms: Mapping[str, ContractTerms], month: str, *, until: datetime | None = None
) -> Lines:
    """Compose the lines of a month of contracts, by their ids, as it is now: what is billed, its tax, what is borne.

    `until`: what is owed for time alone is so by then. The caller holds the contracts' locks.
    """
    batch = await read_batch(work, terms, month)
    parts = [await part(work, batch) for part in PARTS]
    borne = await borne_lines(work, batch)
    lines = {each.id: _put_together(each, month, until, parts, borne) for each in terms.values()}
    return await add_details(work, batch, lines)


def _put_together(
    terms: ContractTerms, month: str, until: datetime | None, parts: Sequence[Lines], borne: Lines
) -> list[DraftLine]:
    billed = [line for part in parts for line in part.get(terms.id, ())]
    billed += draft_guarantees(terms, month, until)
    return [*billed, *tax_lines(terms.of_month(month).tax, billed), *borne.get(terms.id, ())]
