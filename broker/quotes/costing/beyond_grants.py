"""What a job costs of the grants of the contract that charges it, and beyond them, where these have other prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from broker.contracts.reading.grant_prices import GrantPrice
from broker.contracts.reading.prices import BeyondGrants, PlanPrices, PriceList
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.work import Work


@dataclass(frozen=True)
class QuotedUsage:
    """Where the quoted usage will come from: it decides which grants may pay for it."""

    gpu_type: str
    project_id: str | None = None


async def add_prices_beyond(
    work: Work,
    prices: PriceList,
    in_force: Sequence[ContractTerms],
    grant_prices: Mapping[str, Sequence[GrantPrice]],
    usage: QuotedUsage,
) -> PriceList:
    """Add to the prices that contracts charge what they charge of their grants and beyond these, as they are now.

    `grant_prices` are those of all active grants, by contract.
    """
    known = {terms.id: terms for terms in in_force}
    plans = {
        plan: charged
        if charged.contract_id is None
        else await _add_beyond(
            work, charged, known[charged.contract_id], grant_prices.get(charged.contract_id, ()), usage
        )
        for plan, charged in prices.plans.items()
    }
    return replace(prices, plans=plans)


async def _add_beyond(
    work: Work, charged: PlanPrices, terms: ContractTerms, grant_prices: Sequence[GrantPrice], usage: QuotedUsage
) -> PlanPrices:
    prices, overage = charged.prices, terms.overage_prices_at(work.now, usage.gpu_type)
    as_the_plan = all(each.unit_price == prices.of(each.unit) for each in grant_prices)
    if overage.per_gpu_hour == prices.per_gpu_hour and as_the_plan:
        return charged
    charges = await ledger.read_usage_prices(work, terms, usage.gpu_type, usage.project_id)
    return replace(charged, beyond=BeyondGrants(overage, charges.granted))
