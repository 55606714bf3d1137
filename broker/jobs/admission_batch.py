"""What a batch of orders is decided from, read in one message, and what was decided, written in one.

Locks are taken in the order data sets, contracts. What they guard is read by the statements after them.
"""

from collections.abc import Sequence
from datetime import datetime

from broker.base_models import service as base_models
from broker.contracts.candidates import lock_candidates, read_candidates
from broker.datasets import service as datasets
from broker.identity import service as identity
from broker.jobs.admission import AdmissionPlan, AdmissionSnapshot, Order
from broker.jobs.events import write_event
from broker.jobs.service import get_job
from broker.jobs.tables import Job, JobEvent
from broker.ledger import service as ledger
from broker.persistence.driver import Command, Row, RowFormat, insert_rows, write_rows
from broker.quotes import service as quotes
from broker.work import Work

INSERT_JOBS, INSERT_EVENTS = insert_rows(Job), insert_rows(JobEvent)

JOBS = RowFormat(Job)
SUBMITTED = "submitted"


def read_orders(orders: Sequence[Order], moment: datetime, *, seen_by: str | None) -> list[Command]:
    """Make the commands that read what orders of one customer are decided from.

    `seen_by`: the customer whose rows are the only ones seen; None for those who see every customer's.
    """
    requests = [order.request for order in orders]
    place = (requests[0].customer_id, {request.contract_id for request in requests})
    named = {request.quote_id for request in requests if request.quote_id is not None}
    projects = {request.project_id for request in requests if request.project_id is not None}
    keys = [order.hold_key for order in orders if order.hold_key is not None]
    return [
        datasets.keep_from_deletion({request.dataset_id for request in requests}, seen_by=seen_by),
        *lock_candidates(*place, moment),
        *ledger.read_holds(*place, keys, moment),
        quotes.find_quotes(named, seen_by=seen_by),
        identity.find_projects(projects, seen_by=seen_by),
        Command(base_models.OFFER_VERSION),
    ]


async def read_admission_snapshot(work: Work, found: Sequence[Sequence[Row]], moment: datetime) -> AdmissionSnapshot:
    """Read the snapshot from the rows of `read_orders`."""
    kept, locked, grants, *held, quoted, projects, offer = found
    contracts = await read_candidates(work, locked, grants)
    holds = await ledger.read_snapshot(work, contracts, held, moment)
    return AdmissionSnapshot(
        moment=moment,
        offered=await base_models.read_offer_of(work, offer[0][0]),
        quotes=quotes.read_quotes(quoted),
        datasets=datasets.read_kept(kept),
        projects=dict(projects),
        contracts=contracts,
        holds=holds,
        ordered={job_id: await get_job(work, job_id) for job_id in holds.earlier.values()},
    )


def write_admissions(work: Work, plan: AdmissionPlan) -> list[Command]:
    """Make the commands that write all that was admitted, each contract's holds together."""
    if not plan.admitted:
        return []
    moment = plan.snapshot.moment
    made = [admission.order.made for admission in plan.admitted if admission.order.made is not None]
    jobs = write_rows([JOBS.write(admission.job) for admission in plan.admitted])
    events = write_rows([write_event(each.job, SUBMITTED, tell_submitted(each.job), moment) for each in plan.admitted])
    holds = [(plan.snapshot.holds.books[each.job.contract_id], each.hold) for each in plan.admitted]
    return [
        *quotes.keep_quotes(made),
        *ledger.write_holds(work, holds),
        Command(INSERT_JOBS, {"rows": jobs}),
        Command(INSERT_EVENTS, {"rows": events}),
    ]


def tell_submitted(job: Job) -> dict[str, str | None]:
    """Tell what the event of a submission says."""
    return {"queue": job.queue, "contract_id": job.contract_id, "quote_id": job.quote_id}
