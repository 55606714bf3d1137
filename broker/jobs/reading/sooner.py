"""What would start a waiting job sooner: the types of its quote that it does not accept, at the prices of now."""

import math
from collections.abc import Sequence
from fractions import Fraction

from broker.capacity.start_forecasts import find_queue_starts, list_starts
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.jobs.rules.model import JobStatus
from broker.jobs.rules.remaining import find_share
from broker.jobs.rules.sooner import SoonerStart, find_sooner
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.persistence.documents import explain_unreadable
from broker.quotes import service as quotes
from broker.quotes.service import QuotedType
from broker.work import Work
from pricing.estimate.type_choice import TypedRun
from pricing.money import MICROS_PER_UNIT
from pricing.usage import Usage


async def list_sooner(work: Work, job: Job) -> Sequence[SoonerStart]:
    """List on which quoted types a waiting job would start sooner, the soonest first; one that it may run on is none.

    A type on which its sum does not pay for the whole job is left out.
    """
    is_readable = all(explain_unreadable(value) is None for value in (job.estimate, job.remaining, job.gpu_types))
    if job.status != JobStatus.QUEUED or not is_readable or not job.gpu_types or job.quote_id is None:
        return []
    quote = await quotes.get_quote(work, job.quote_id)
    accepted = {run.sku for run in job.gpu_types}
    others = [each for each in quote.gpu_types if isinstance(each, QuotedType) and each.sku not in accepted]
    starts = find_queue_starts(await list_starts(work, job.customer_id), job.queue, job.gpus, work.now)
    if not others or starts is None:
        return []
    terms = await contracts.get_contract(work, job.contract_id)
    share = Fraction(1) if job.remaining is None else find_share(job.remaining, job.estimate)
    runs = [await _price(work, job, terms, each) for each in others]
    most = job.max_cost_micros
    paid = [run.scale(share) for run in runs if most is None or run.price_micros <= most]
    own = [run.scale(share) for run in job.gpu_types]
    return find_sooner(own, paid, starts.by_type, job.expected_start, work.now)


async def _price(work: Work, job: Job, terms: ContractTerms, on: QuotedType) -> TypedRun:
    """Price the whole job on a type as its usage would be charged now."""
    prices = await ledger.read_usage_prices(work, terms, on.sku, job.project_id)
    seconds = on.estimate.gpu_seconds
    exact = prices.price(Usage(seconds.p90, on.estimate.tokens).by_meter)
    return TypedRun(on.sku, seconds.p50, seconds.p90, math.ceil(exact * MICROS_PER_UNIT))
