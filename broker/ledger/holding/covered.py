"""How much more usage the grants of a contract would pay for, asked without its lock: what a quote is told."""

from broker.contracts.terms.model import ContractTerms
from broker.ledger.holding.legs import burn_grants, list_origins, read_open_grants
from broker.work import Work
from pricing.usage import Unit


async def count_covered(work: Work, terms: ContractTerms, gpu_type: str) -> int:
    """Count the GPU-seconds of a type that the free units of grants would pay for now, outside any project."""
    grants = await read_open_grants(work, terms.id)
    origin = list_origins(terms, None, gpu_type, work.now)[Unit.GPU_SECONDS]
    return sum(leg.quantity for leg in burn_grants(grants, sum(grants.free.values()), origin, work.now))
