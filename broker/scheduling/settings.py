"""What ops has set of queues, pools and contracts at one moment, by `kind`, name and field; and what differs later."""

from collections.abc import Collection, Mapping
from typing import Any

from broker.capacity import quotas, readiness
from broker.capacity import service as capacity
from broker.capacity.pool_changes import PoolWord
from broker.jobs.running.control import list_priorities
from broker.work import Work

QUEUE_SETTINGS = (
    "priority",
    "state",
    "weight",
    "max_wait_seconds",
    "max_jobs",
    "max_gpus",
    "max_gpu_hours",
    "window_hours",
    "allowed_pools",
    "lending_limit",
)
# By kind and name, fields with their values.
Settings = Mapping[str, Mapping[str, Mapping[str, Any]]]


async def read_settings(work: Work, contract_ids: Collection[str], job_ids: Collection[str] = ()) -> Settings:
    """Read what is set of all queues and pools, what the pools have, and of some contracts and jobs."""
    queues = {
        queue.name: {name: getattr(queue, name) for name in QUEUE_SETTINGS}
        for queue in await capacity.list_queues(work)
    }
    pools = {
        judged.pool.name: {
            **vars(PoolWord.of(judged.pool)),
            "sku": judged.pool.sku,
            "total_gpus": judged.pool.total_gpus,
        }
        for judged in await readiness.list_pools(work)
    }
    set_of = await quotas.list_quotas(work, contract_ids)
    contracts = {name: _show_quota(set_of.get(name)) for name in sorted(contract_ids)}
    of_jobs = {name: {"priority": told} for name, told in (await list_priorities(work, job_ids)).items()}
    return {"queues": queues, "pools": pools, "contracts": contracts, "jobs": of_jobs}


def _show_quota(quota: quotas.ContractQuota | None) -> dict[str, Any]:
    if quota is None:
        return {"weight": quotas.USUAL_WEIGHT, "max_gpus": None, "max_jobs": None}
    return {name: getattr(quota, name) for name in quotas.SET_BY_OPS}


def list_differences(before: Settings, now: Settings) -> dict[str, Any]:
    """List the settings that are others now than before, by path, as they are now. Pure.

    A queue or pool that is gone, or new, differs as a whole.
    """
    told: dict[str, Any] = {}
    for kind in sorted(before.keys() | now.keys()):
        old, new = before.get(kind, {}), now.get(kind, {})
        for name in sorted(old.keys() | new.keys()):
            if (name in old) != (name in new):
                told[f"{kind}.{name}"] = "new" if name in new else "gone"
                continue
            told |= {
                f"{kind}.{name}.{field}": value for field, value in new[name].items() if old[name].get(field) != value
            }
    return told
