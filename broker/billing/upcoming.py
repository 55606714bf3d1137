"""What the month under way comes to by now, contract by contract. It writes nothing, and knows nothing of later."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from broker.billing.lines.compose import compose_lines
from broker.billing.lines.tax import sum_tax
from broker.billing.model import DraftLine
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class UpcomingInvoice:
    """The lines that a contract's month under way has by now, and the tax in them."""

    terms: ContractTerms
    month: str
    lines: Sequence[DraftLine]
    tax: Money


async def list_upcoming(work: Work, contract_ids: Sequence[str]) -> list[UpcomingInvoice]:
    """List what the months under way of contracts come to, in the order of these ids.

    What was charged by now is in it. Commitments are trued up where their period is over: what may still be used of
    one is asked for by nobody. Guaranteed GPUs cost their share of the month that is over.
    """
    terms = await contracts.load_terms(work, set(contract_ids))
    by_month: defaultdict[str, dict[str, ContractTerms]] = defaultdict(dict)
    for contract_id in contract_ids:
        by_month[terms[contract_id].billing_month(work.now)][contract_id] = terms[contract_id]
    found: dict[str, UpcomingInvoice] = {}
    for month, own in by_month.items():
        composed = await compose_lines(work, own, month, until=work.now)
        found |= {each: _make(own[each], month, lines) for each, lines in composed.items()}
    return [found[contract_id] for contract_id in contract_ids]


def _make(terms: ContractTerms, month: str, lines: Sequence[DraftLine]) -> UpcomingInvoice:
    return UpcomingInvoice(terms, month, lines, sum_tax(terms.of_month(month).tax, lines))
