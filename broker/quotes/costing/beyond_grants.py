"""What a job costs beyond the grants of the contracts that would pay for it, where their overage has other prices."""

from collections.abc import Sequence
from dataclasses import replace

from broker.contracts.reading.prices import BeyondGrants, PlanPrices, PriceList
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work


async def add_prices_beyond(
    work: Work, prices: PriceList, in_force: Sequence[ContractTerms], gpu_type: str
) -> PriceList:
    """Add to the prices that contracts charge what they charge beyond their grants, as these are now."""
    known = {terms.id: terms for terms in in_force}
    plans = {
        plan: charged
        if charged.contract_id is None
        else await _add_beyond(work, charged, known[charged.contract_id], gpu_type)
        for plan, charged in prices.plans.items()
    }
    return replace(prices, plans=plans)


async def _add_beyond(work: Work, charged: PlanPrices, terms: ContractTerms, gpu_type: str) -> PlanPrices:
    overage = terms.overage_prices_at(work.now, gpu_type)
    if overage.per_gpu_hour == charged.prices.per_gpu_hour:
        return charged
    return replace(charged, beyond=BeyondGrants(overage, await ledger.count_covered(work, terms, gpu_type)))
