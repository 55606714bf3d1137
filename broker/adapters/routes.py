"""The adapter registry: what training has made, to list and download."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import FileResponse

from broker.adapters import service
from broker.adapters.schemas import AdapterOut
from broker.adapters.tables import Adapter
from broker.http.edge import CustomerWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfCustomer, OfJob, OfProject, Order, Page
from broker.jobs.service import read_labels

router = feature_router("/adapters", "adapters")


@router.get("")
async def list_adapters(
    work: CustomerWork,
    customer_id: OfCustomer = None,
    project_id: OfProject = None,
    job_id: OfJob = None,
    name: Annotated[str | None, Query(description="Only versions of this one.", examples=["cyberpunk"])] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[AdapterOut]:
    query = service.select_finished(
        id_prefix=id_prefix, customer_id=customer_id, project_id=project_id, job_id=job_id, name=name
    )
    rows, after = await fetch_page(work.session, query, Adapter, limit=limit, cursor=cursor, order=order)
    labels = await read_labels(work, [row.job_id for row in rows])
    return Page(data=[AdapterOut.of(row, labels) for row in rows], next_cursor=after)


@router.get("/{adapter_id}")
async def get_adapter(work: CustomerWork, adapter_id: str) -> AdapterOut:
    adapter = await service.get_adapter(work, adapter_id)
    return AdapterOut.of(adapter, await read_labels(work, [adapter.job_id]))


@router.get(
    "/{adapter_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The .safetensors file."}},
)
async def download_adapter(work: CustomerWork, adapter_id: str) -> FileResponse:
    """Download the adapter as one `.safetensors` file in PEFT layout; its SHA-256 is in `X-Content-SHA256`."""
    adapter = await service.get_adapter(work, adapter_id)
    work.note_look(adapter.id, adapter.customer_id)
    return FileResponse(
        work.storage.local_path(adapter.storage_key),
        filename=f"{adapter.name}_v{adapter.version}.safetensors",
        headers={"X-Content-SHA256": adapter.sha256},
    )


@router.get("/{adapter_id}/config")
async def get_adapter_config(work: CustomerWork, adapter_id: str) -> dict[str, Any]:
    """Get `adapter_config.json` of an adapter, as its file tells it: put beside the weights, peft loads them."""
    adapter = await service.get_adapter(work, adapter_id)
    return await service.read_peft_config(work, adapter)


@router.delete("/{adapter_id}", status_code=204)
async def delete_adapter(work: CustomerWork, adapter_id: str) -> None:
    """Delete an adapter and its file. The job, its usage and its invoices stay; a version is not given twice."""
    await service.delete_adapter(work, adapter_id)
