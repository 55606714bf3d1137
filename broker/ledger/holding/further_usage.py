"""What usage that is still to come costs, as the grants of a contract are now.

A quote asks without the contract's lock; what a job that goes on is to hold is planned under it.
"""

from dataclasses import replace

from broker.contracts.terms.model import ContractTerms
from broker.ledger.holding.holds import lock_hold
from broker.ledger.holding.legs import list_origins, read_open_grants
from broker.ledger.holding.usage_prices import find_usage_prices
from broker.work import Work
from pricing.usage_prices import UsagePrices


async def read_usage_prices(
    work: Work, terms: ContractTerms, gpu_type: str, project_id: str | None = None
) -> UsagePrices:
    """Read what usage on a GPU type would cost under a contract now: that of a project, or of none."""
    origins = list_origins(terms, project_id, gpu_type, work.now)
    return find_usage_prices(terms, await read_open_grants(work, terms.id), origins, work.now)


async def price_further_usage(work: Work, job_id: str, gpu_type: str | None = None) -> UsagePrices:
    """Find what further usage of a job costs: what its hold has of grants pays first. Locks its hold and contract.

    `gpu_type` is the type that it will run on; None: that of its hold.

    Raises: NotFound.
    """
    view = replace(await lock_hold(work, job_id), run_gpu_type=gpu_type)
    grants = await read_open_grants(work, view.terms.id)
    return find_usage_prices(view.terms, grants, view.origins_at(work.now), work.now, view.legs)
