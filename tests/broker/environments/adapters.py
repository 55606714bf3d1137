"""Adapters of a customer, made by jobs that ended, without training."""

from typing import Any

from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.factories import Api, Customer, dispatch, submit_job
from tests.broker.tenants import finish_job


async def make_adapter(api: Api, system: System, customer: Customer, style: str = "cyberpunk", **fields: Any) -> Any:
    """Have a job make the next version of a style; the adapter."""
    labels = {"style": style}
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, labels=labels, **fields)
    await dispatch(system, gpus=8)
    await finish_job(api, system, job["id"], content=safetensors_file(job["id"]))
    return (await api.get("/adapters", job_id=job["id"]))["data"][0]


async def promote(api: Api, adapter: Any, stage: str = "test", reason: str = "good", expect: int = 200) -> Any:
    return await api.post(f"/adapters/{adapter['id']}/promote", {"stage": stage, "reason": reason}, expect=expect)
