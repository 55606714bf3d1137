"""Queues and pools as ops tunes them, and simulations of what is proposed: they name all customers' jobs."""

from fastapi import Response

from broker import errors
from broker.capacity import quotas
from broker.capacity.schemas import ContractQuotaOut, ContractQuotaPatch, PoolPatch, QueuePatch
from broker.http.edge import JobControl, OpsWork, feature_router
from broker.http.shapes import PAYMENT_RESPONSES, VERSION_RESPONSES
from broker.http.versions import ETAG, SeenVersion, make_etag
from broker.jobs.order_schemas import JobPatch, PrioritiesIn
from broker.scheduling import simulations, tuning
from broker.scheduling.schemas import (
    ChangedPrioritiesOut,
    SimulationIn,
    SimulationOut,
    TunedJobOut,
    TunedPoolOut,
    TunedQueueOut,
    TunedQuotaOut,
)
from broker.work import STAFF

router = feature_router("/queues", "capacity")
pools = feature_router("/pools", "capacity")
contracts = feature_router("/contracts", "contracts")
jobs = feature_router("/jobs", "jobs")


@router.patch("/{name}", responses=VERSION_RESPONSES)
async def change_queue(work: OpsWork, name: str, body: QueuePatch, seen: SeenVersion = None) -> TunedQueueOut:
    """Tune a queue: its state, priority and weight, how long its jobs wait at most, how much of it runs, and where.

    What is left out stays; null takes a limit away. The next cycle plans by it: `frees` tells how many waiting jobs it
    starts then. A warning names the jobs that wait and can never start under its limits. Where more runs than a lowered
    limit allows, the runs that began last save and stop: their jobs wait in the queue again, and what they lost is
    borne.
    """
    return TunedQueueOut.of_tuned(*await tuning.tune_queue(work, name, body.list_changes(), seen))


@router.post("/simulations", status_code=202)
async def request_simulation(work: OpsWork, body: SimulationIn) -> SimulationOut:
    """Ask what a recorded window would have been under what is proposed. It is worked out in the background.

    Nothing is applied. Ask for the simulation by its id until it is done.
    """
    row = await simulations.request_simulation(work, body.proposal, body.begins_at, body.ends_at)
    return SimulationOut.model_validate(row)


@router.get("/simulations/{simulation_id}")
async def get_simulation(work: OpsWork, simulation_id: str) -> SimulationOut:
    """Get a simulation, and what came out once it is done."""
    return SimulationOut.model_validate(await simulations.get_simulation(work, simulation_id))


@pools.patch("/{name}", responses=VERSION_RESPONSES)
async def change_pool(work: OpsWork, name: str, body: PoolPatch, seen: SeenVersion = None) -> TunedPoolOut:
    """Open or close a pool, drain machines of it or declare them down, plan maintenance, or choose its discipline.

    What runs on it runs on, except on machines that are down: those runs are lost, what they lost is borne, and their
    jobs go first. Opened, a pool rests no longer after failed starts. The next cycle plans by it.
    """
    return TunedPoolOut.of_tuned(*await tuning.tune_pool(work, name, body.read_changes(), seen))


@contracts.get("/{contract_id}/quota")
async def get_quota(work: JobControl, response: Response, contract_id: str) -> ContractQuotaOut:
    """Get what a contract is due beside others, and how much it may run at one time."""
    quota = await quotas.get_quota(work, contract_id)
    response.headers[ETAG] = make_etag(quotas.list_quota_settings(quota))
    return ContractQuotaOut.model_validate(quota)


@contracts.patch("/{contract_id}/quota", responses=VERSION_RESPONSES)
async def change_quota(
    work: OpsWork, contract_id: str, body: ContractQuotaPatch, seen: SeenVersion = None
) -> TunedQuotaOut:
    """Set what a contract is due beside others, and how much it may run at one time, with a reason.

    What is left out stays; null takes a quota away. A job that is larger is refused at submission; others wait. Where
    more runs than a lowered quota allows, the runs that began last save and stop: their jobs wait again, and what they
    lost is borne. The next cycle plans by it.
    """
    return TunedQuotaOut.of_tuned(*await tuning.set_quota(work, contract_id, body.list_changes(), body.reason, seen))


@jobs.patch("/{job_id}", responses={**PAYMENT_RESPONSES, **VERSION_RESPONSES})
async def change_job(work: JobControl, job_id: str, body: JobPatch, seen: SeenVersion = None) -> TunedJobOut:
    """Change what a job is called, its notes and its pin; while it waits its GPU types; or, for ops, its priority.

    What is left out stays; null takes a name or notes away. Name, notes and pin may change at any time, and change
    nothing of its course.
    A type that comes in is quoted at the prices of now, and the job's limit and hold cover it, too; what its contract
    cannot pay for is refused. The reason of a priority is told to the customer. `frees` tells how many waiting jobs the
    next cycle starts for it.
    """
    has_priority = "priority" in body.model_fields_set
    if has_priority and work.actor.role not in STAFF:
        raise errors.Forbidden("Operations alone changes the priority of a job.")
    changes = tuning.JobChanges(
        body.gpu_types, has_priority, body.priority, body.reason or "", body.read_annotation(), seen
    )
    return TunedJobOut.of_tuned(*await tuning.tune_job(work, job_id, changes), work.now)


@jobs.post("/priorities")
async def change_priorities(work: OpsWork, body: PrioritiesIn) -> ChangedPrioritiesOut:
    """Put several jobs before or behind others by one priority, with a reason that their customers read.

    All of them, or none: where one is not there, or is over, nothing changes. It is one decision, and undone as one.
    """
    job_ids = list(dict.fromkeys(body.job_ids))
    effects = await tuning.tune_jobs(work, job_ids, body.priority, body.reason)
    return ChangedPrioritiesOut.of_tuned(job_ids, body.priority, effects)
