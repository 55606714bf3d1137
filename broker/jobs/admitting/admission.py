"""Admission: a job is taken with its hold and its place in a queue, or nothing is. Pure.

Orders are decided one after the other from one snapshot, each upon what those before it have left. What is read for it
and written by it stands in `admission_batch`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker import errors
from broker.capacity.service import EntryBounds
from broker.capacity.start_forecasts import ExpectedStarts
from broker.contracts import service as contracts
from broker.contracts.reading.candidates import list_candidates
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.datasets.service import KeptDataset
from broker.jobs.admitting.order_terms import OrderTerms, plan_terms
from broker.jobs.admitting.request import JobRequest
from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job
from broker.ledger.service import ContractBooks, HoldSnapshot, NewHold, Reserves
from broker.persistence.driver import RowFormat
from broker.quotes import service as quotes
from broker.quotes.checking.labelling import resolve_order
from broker.quotes.service import Quote
from pricing.catalog.offered import OfferedModels

JOBS = RowFormat(Job)


@dataclass(frozen=True)
class Order:
    """A request, the quote that was made for it where it names none, and the name of its hold, if it has one.

    A hold is placed once for each name, for longer than the edge remembers a key. `starts`: when a job that came now
    would start; looked up for a request with a date. `traceparent`: of the request, where it is traced.
    """

    request: JobRequest
    made: Quote | None = None
    hold_key: str | None = None
    starts: ExpectedStarts = field(default_factory=dict)
    traceparent: str | None = None


@dataclass(frozen=True)
class AdmissionSnapshot:
    """All that orders of one customer are decided from; its contracts are locked, and its data sets kept.

    `ordered`: the jobs of holds that were placed before under the names of these orders. `bounds`: what keeps jobs
    out at the door.
    """

    moment: datetime
    offered: OfferedModels
    quotes: Mapping[str, Quote]
    datasets: Mapping[str, KeptDataset]
    projects: Mapping[str, str]
    contracts: Mapping[str, tuple[ContractTerms, Sequence[GrantTerms]]]
    holds: HoldSnapshot
    ordered: Mapping[str, Job]
    bounds: EntryBounds = field(default_factory=EntryBounds)


@dataclass(frozen=True)
class Admission:
    """An order that is admitted: its job and its hold, to be written together."""

    order: Order
    quote: Quote
    job: Job
    hold: NewHold

    @property
    def has_quoted_documents(self) -> bool:
        """Tell whether the job's configuration and estimate are those of its quote, which is kept with them."""
        return self.job.config is self.quote.config and self.job.estimate is self.quote.estimate


@dataclass
class AdmissionPlan:
    """Decides orders one after the other; what one reserves the next one cannot have."""

    snapshot: AdmissionSnapshot
    new_id: Callable[[str], str]
    admitted: list[Admission] = field(default_factory=list)
    reserves: dict[str, Reserves] = field(init=False)

    def __post_init__(self) -> None:
        self.reserves = {contract_id: books.reserves for contract_id, books in self.snapshot.holds.books.items()}

    def admit(self, order: Order) -> Job:
        """Admit an order: checks, hold and queue entry together, or nothing. One that was admitted before has its job.

        Raises: InvalidTrainingConfig, NotFound, QuoteExpired, QuoteMismatch, QuoteStale, NoContractInForce,
        MaxCostExceeded, DeadlineUnreachable, InsufficientBalance, BudgetExceeded, IdempotencyConflict, InvalidRequest,
        QueueDraining, TooLargeForLimit.
        """
        request, snapshot = order.request, self.snapshot
        quote = self._find_quote(order)
        self._check_project(request)
        candidates = list_candidates(snapshot.contracts, request.contract_id, snapshot.moment)
        terms = contracts.choose_in_force(candidates, request.contract_id, snapshot.moment)
        contracts.require_paid_advance(terms, snapshot.contracts[terms.id][1])
        earlier = snapshot.holds.earlier.get((terms.id, order.hold_key or ""))
        if earlier is not None:
            return _require_same(snapshot.ordered[earlier], quote, request.dataset_id)
        planned = plan_terms(request, quote, self.reserves[terms.id], snapshot.moment, order.starts)
        snapshot.bounds.require_room(planned.queue, terms.id, quote.estimate.gpus)
        self.reserves[terms.id] = self.reserves[terms.id].less(planned.legs)
        job = self._make_job(request, quote, terms, planned)
        hold = NewHold(job.id, order.hold_key or job.id, planned.need, planned.legs)
        self.admitted.append(Admission(order, quote, job, hold))
        return job

    def admit_all(self, orders: Sequence[Order]) -> list[Job]:
        """Admit the orders of one batch: all, or nothing where one is refused; what is refused is named by its place.

        Raises: as `admit` does.
        """
        reserves, admitted = dict(self.reserves), len(self.admitted)
        jobs: list[Job] = []
        for place, order in enumerate(orders):
            try:
                jobs.append(self.admit(order))
            except errors.DomainError as refusal:
                self.reserves = reserves
                del self.admitted[admitted:]
                raise errors.locate(refusal, place) from None
        return jobs

    def list_holds(self) -> list[tuple[ContractBooks, NewHold]]:
        """List the holds of what was admitted, each with the books of its contract."""
        books = self.snapshot.holds.books
        return [(books[each.job.contract_id], each.hold) for each in self.admitted]

    def _find_quote(self, order: Order) -> Quote:
        """Find the quote that an order is submitted with, good for its configuration and its bytes."""
        request, snapshot = order.request, self.snapshot
        quote = order.made
        configuration = None if quote else resolve_order(request.config, snapshot.offered)
        if quote is None:
            quote = snapshot.quotes.get(request.quote_id or "")
        if quote is None:
            raise errors.NotFound("quote", request.quote_id or "")
        dataset = snapshot.datasets.get(request.dataset_id)
        if configuration is not None:
            quotes.require_acceptable(quote, configuration, request.dataset_id, dataset, snapshot.moment)
            quotes.require_gpus(quote, request.gpus)
        if dataset is None or quote.customer_id != request.customer_id:
            raise errors.NotFound("dataset", request.dataset_id)
        return quote

    def _check_project(self, request: JobRequest) -> None:
        """Refuse a project of somebody else. Raises: NotFound."""
        project_id = request.project_id
        if project_id is not None and self.snapshot.projects.get(project_id) != request.customer_id:
            raise errors.NotFound("project", project_id)

    def _make_job(self, request: JobRequest, quote: Quote, terms: ContractTerms, planned: OrderTerms) -> Job:
        limits = planned.limits
        return JOBS.make(
            id=self.new_id("job"),
            customer_id=request.customer_id,
            contract_id=terms.id,
            project_id=request.project_id,
            dataset_id=request.dataset_id,
            quote_id=quote.id,
            template_id=request.template_id,
            template=request.template,
            tracker=None if request.tracker is None else dict(request.tracker),
            name=request.name,
            labels=dict(request.labels),
            config=quote.config,
            estimate=planned.types[0].quoted.estimate,
            gpu_types=[each.run for each in planned.types],
            offered_types=None if request.gpu_types is not None else [each.sku for each in quote.gpu_types],
            prefer=request.prefer.value,
            finish_by=request.finish_by,
            batch_id=None if request.batch is None else request.batch.batch_id,
            batch_at_once=None if request.batch is None else request.batch.at_once,
            gpus=quote.estimate.gpus,
            queue=planned.queue,
            status=JobStatus.QUEUED.value,
            quote_guarantee=limits.guarantee,
            max_cost_micros=request.max_cost.micros if request.max_cost else None,
            limit_micros=limits.limit_micros,
            limit_gpu_seconds=limits.limit_gpu_seconds,
            cap_micros=limits.cap_micros,
            used_gpu_seconds=0,
            used_tokens=0,
            borne_gpu_seconds=0,
            borne_tokens=0,
            cost_micros=0,
            borne_micros=0,
            attempts=0,
            uncounted_attempts=0,
            created_at=self.snapshot.moment + _find_delay(request),
        )


def _find_delay(request: JobRequest) -> timedelta:
    """Find how much later than its batch a job counts as submitted: so the jobs of a batch keep their order."""
    return timedelta(microseconds=0 if request.batch is None else request.batch.place)


def _require_same(earlier: Job, quote: Quote, dataset_id: str) -> Job:
    """Refuse a key that was used to order something else. Raises: IdempotencyConflict."""
    if (earlier.config, earlier.dataset_id) != (quote.config, dataset_id):
        raise errors.IdempotencyConflict(
            f"The Idempotency-Key was used for job {earlier.id}; send a new key with a new order.",
            errors=[errors.FieldError("Idempotency-Key", "already used for another order")],
        )
    return earlier
