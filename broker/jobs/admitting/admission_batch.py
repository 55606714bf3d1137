"""What a batch of orders is decided from, read in one message, and what was decided, written in one.

Locks are taken in the order data sets, contracts. What they guard is read by the statements after them.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from broker.base_models import service as base_models
from broker.capacity import service as capacity
from broker.contracts.reading.candidates import lock_candidates, read_candidates, share_out_contracts
from broker.datasets import service as datasets
from broker.identity import service as identity
from broker.jobs.admitting.admission import JOBS, Admission, AdmissionPlan, AdmissionSnapshot, Order
from broker.jobs.events import write_event
from broker.jobs.service import get_job
from broker.jobs.tables import Job, JobEvent
from broker.jobs.traced import tell_trace
from broker.ledger import service as ledger
from broker.persistence.driver import Command, Row
from broker.persistence.set_writes import Copied, command_inserts
from broker.quotes import service as quotes
from broker.quotes.service import Quote
from broker.work import Services, Work

SUBMITTED = "submitted"
# What of a job may be its quote's, as it stands there.
QUOTED = Copied(Quote.__tablename__, named_by="quote_id", columns=("config", "estimate"))
# What no job has before the planner has looked at it or a run has begun: null, which is not written.
NOT_YET = frozenset(
    {
        "pending_reason",
        "expected_start",
        "latest_start",
        "expedited_at",
        "stop_requested",
        "pause_reason",
        "progress",
        "remaining",
        "error",
        "adapter_id",
        "started_at",
        "finished_at",
        "changed_in",
        "ended_cost_micros",
    }
)
NOT_YET_OR_QUOTED = NOT_YET.union(QUOTED.columns)


def list_known_quotes(services: Services, orders: Sequence[Order]) -> dict[str, Quote]:
    """List the quotes that orders name and that were read before."""
    return quotes.list_known(services, {each.request.quote_id for each in orders if each.request.quote_id is not None})


def read_orders(
    orders: Sequence[Order], moment: datetime, known: Mapping[str, Quote], *, seen_by: Collection[str] | None
) -> list[Command]:
    """Make the commands that read what orders are decided from, but for the quotes that are known.

    `seen_by`: the customers whose rows are the only ones seen; None for those who see every customer's.
    """
    requests = [order.request for order in orders]
    places = {request.place for request in requests}
    named = {request.quote_id for request in requests if request.quote_id is not None}
    projects = {request.project_id for request in requests if request.project_id is not None}
    keys = [order.hold_key for order in orders if order.hold_key is not None]
    return [
        datasets.keep_from_deletion({request.dataset_id for request in requests}, seen_by=seen_by),
        *lock_candidates(places, moment),
        *ledger.read_holds(places, keys, moment),
        quotes.find_quotes(named - known.keys(), seen_by=seen_by),
        identity.find_projects(projects, seen_by=seen_by),
        Command(base_models.OFFER_VERSION),
        Command(capacity.ENTRY_BOUNDS),
    ]


class FoundRows(NamedTuple):
    """The rows of the commands of `read_orders`."""

    kept: Sequence[Row]
    locked: Sequence[Row]
    grants: Sequence[Row]
    accounts: Sequence[Row]
    earlier: Sequence[Row]
    versions: Sequence[Row]
    quotes: Sequence[Row]
    projects: Sequence[Row]
    offer: Sequence[Row]
    bounds: Sequence[Row]


async def read_admission_snapshots(
    works: Mapping[str, Work], found: FoundRows, moment: datetime, known: Mapping[str, Quote]
) -> dict[str, AdmissionSnapshot]:
    """Read what each customer's orders are decided from out of the rows of `read_orders`: its own rows, no others.

    `works` are the units of work by customer; one of staff sees others' rows, to tell that they are not the customer's.
    """
    services = next(iter(works.values())).services
    known_quotes = {**known, **quotes.read_quotes(services, found.quotes)}
    known_datasets = datasets.read_kept(found.kept)
    contracts = share_out_contracts(found.locked, found.grants)
    snapshots: dict[str, AdmissionSnapshot] = {}
    for customer_id, work in works.items():
        own = await read_candidates(work, *contracts[customer_id])
        holds = await ledger.read_snapshot(work, own, (found.accounts, found.earlier, found.versions), moment)
        snapshots[customer_id] = AdmissionSnapshot(
            moment=moment,
            offered=await base_models.read_offer_of(work, found.offer[0][0]),
            quotes={key: each for key, each in known_quotes.items() if work.sees(each.customer_id)},
            datasets={key: each for key, each in known_datasets.items() if work.sees(each.customer_id)},
            projects={key: owner for key, owner in found.projects if work.sees(owner)},
            contracts=own,
            holds=holds,
            bounds=capacity.read_entry_bounds(found.bounds),
            ordered={job_id: await get_job(work, job_id) for job_id in holds.earlier.values()},
        )
    return snapshots


def write_admissions(plans: Mapping[str, AdmissionPlan], services: Services) -> list[Command]:
    """Make the commands that write all that was admitted; the last of them moves the balances."""
    admitted = [each for plan in plans.values() for each in plan.admitted]
    if not admitted:
        return []
    made = [each.order.made for each in admitted if each.order.made is not None]
    events = [write_event(each.job, SUBMITTED, _tell_with_trace(each), each.job.created_at) for each in admitted]
    return [
        *quotes.keep_quotes(made),
        *_write_jobs(admitted),
        *command_inserts(JobEvent, events),
        *ledger.write_holds(services, [planned for plan in plans.values() for planned in plan.list_holds()]),
    ]


def _write_jobs(admitted: Sequence[Admission]) -> list[Command]:
    """Make the commands that write jobs; what is the quote's is copied from the quote, and not sent once more."""
    sent = [JOBS.write(each.job, without=NOT_YET) for each in admitted if not each.has_quoted_documents]
    quoted = [JOBS.write(each.job, without=NOT_YET_OR_QUOTED) for each in admitted if each.has_quoted_documents]
    return [*command_inserts(Job, sent), *command_inserts(Job, quoted, copied=QUOTED)]


def _tell_with_trace(admission: Admission) -> dict[str, str | None]:
    told = tell_submitted(admission.job)
    return told if admission.order.traceparent is None else {**told, **tell_trace(admission.order.traceparent)}


def tell_submitted(job: Job) -> dict[str, str | None]:
    """Tell what the event of a submission says."""
    return {"queue": job.queue, "contract_id": job.contract_id, "quote_id": job.quote_id}
