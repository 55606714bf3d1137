"""Composing a month's draft of its parts, in the order in which they stand on the invoice."""

from collections.abc import Awaitable, Callable
from datetime import datetime

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

Part = Callable[[Work, ContractTerms, str], Awaitable[list[DraftLine]]]

PARTS: tuple[Part, ...] = (usage_lines, correction_lines, tier_lines, true_up_lines)


async def compose_lines(
    work: Work, terms: ContractTerms, month: str, *, until: datetime | None = None
) -> list[DraftLine]:
    """Compose the lines of a contract's month as it is now: what is billed, its tax, and what the house bears.

    `until`: what is owed for time alone is so by then. The caller holds the contract's lock.
    """
    billed = [line for part in PARTS for line in await part(work, terms, month)]
    billed += draft_guarantees(terms, month, until)
    tax = tax_lines(terms.of_month(month).tax, billed)
    return await add_details(work, terms, month, [*billed, *tax, *await borne_lines(work, terms, month)])
