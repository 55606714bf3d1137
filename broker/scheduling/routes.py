"""Simulations of queues, for ops: they name all customers' jobs."""

from broker.http.edge import OpsWork, feature_router
from broker.scheduling import simulations
from broker.scheduling.schemas import SimulationIn, SimulationOut

router = feature_router("/queues/simulations", "capacity")


@router.post("", status_code=202)
async def request_simulation(work: OpsWork, body: SimulationIn) -> SimulationOut:
    """Ask what a recorded window would have been under what is proposed. It is worked out in the background.

    Nothing is applied. Ask for the simulation by its id until it is done.
    """
    row = await simulations.request_simulation(work, body.proposal, body.begins_at, body.ends_at)
    return SimulationOut.model_validate(row)


@router.get("/{simulation_id}")
async def get_simulation(work: OpsWork, simulation_id: str) -> SimulationOut:
    """Get a simulation, and what came out once it is done."""
    return SimulationOut.model_validate(await simulations.get_simulation(work, simulation_id))
