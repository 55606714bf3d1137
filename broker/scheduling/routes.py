"""Queues and pools as ops tunes them, and simulations of what is proposed: they name all customers' jobs."""

from broker.capacity.schemas import PoolPatch, QueuePatch
from broker.http.edge import OpsWork, feature_router
from broker.scheduling import simulations, tuning
from broker.scheduling.schemas import SimulationIn, SimulationOut, TunedPoolOut, TunedQueueOut

router = feature_router("/queues", "capacity")
pools = feature_router("/pools", "capacity")


@router.patch("/{name}")
async def change_queue(work: OpsWork, name: str, body: QueuePatch) -> TunedQueueOut:
    """Tune a queue: its state, priority and weight, how long its jobs wait at most, how much of it runs, and where.

    What is left out stays; null takes a limit away. The next cycle plans by it. A warning names the jobs that wait and
    can never start under its limits. Where more runs than a lowered limit allows, the runs that began last save and
    stop: their jobs wait in the queue again, and what they lost is borne.
    """
    return TunedQueueOut.of_tuned(await tuning.tune_queue(work, name, body.list_changes()))


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


@pools.patch("/{name}")
async def change_pool(work: OpsWork, name: str, body: PoolPatch) -> TunedPoolOut:
    """Open or close a pool, drain machines of it or declare them down, plan maintenance, or choose its discipline.

    What runs on it runs on, except on machines that are down: those runs are lost, what they lost is borne, and their
    jobs go first. Opened, a pool rests no longer after failed starts. The next cycle plans by it.
    """
    pool, lost = await tuning.tune_pool(work, name, body.read_changes())
    return TunedPoolOut.of_tuned(pool, lost)
