"""Making all months of some contracts final that a closing takes in: one transaction, under the contracts' locks."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from broker.billing.closing.model import Refusal
from broker.billing.drafting import draft_months
from broker.billing.finalizing import finalize_months
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work


@dataclass(frozen=True)
class Finalized:
    """How many invoices became final, and which months could not, since they are not over."""

    invoices: int
    refused: list[Refusal]


async def finalize_contracts(work: Work, contract_ids: Collection[str], period: str) -> Finalized:
    """Close the months of contracts that a period takes in, the earliest first, and make their invoices final.

    A month that is closed already is passed over; one with nothing to bill is closed without an invoice.
    """
    terms = await contracts.lock_contracts(work, contract_ids)
    closed = await ledger.list_closed_of(work, contract_ids)
    by_month: defaultdict[str, dict[str, ContractTerms]] = defaultdict(dict)
    for each in terms.values():
        for month in ledger.list_months_to_close(each, period):
            if month not in closed[each.id]:
                by_month[month][each.id] = each
    invoices, refused = 0, list[Refusal]()
    for month, own in sorted(by_month.items()):
        over = {each.id: each for each in own.values() if each.month_end(month) <= work.now}
        refused += [_refuse(own[each], month) for each in own if each not in over]
        drafts = await draft_months(work, over, month)
        await finalize_months(work, over, month, drafts)
        invoices += len(drafts)
    return Finalized(invoices, refused)


def _refuse(terms: ContractTerms, month: str) -> Refusal:
    return Refusal(terms.id, month, f"{month} ends at {terms.month_end(month).isoformat()} in {terms.time_zone}")
