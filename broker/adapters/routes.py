"""The adapter registry: what training has made, to list and download."""

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import FileResponse, Response

from broker.adapters import service
from broker.adapters.exports import Exports, Layout, Source
from broker.adapters.lineage import trace_lineage
from broker.adapters.model import Stage
from broker.adapters.schemas import AdapterChangesIn, AdapterComparisonOut, AdapterOut, LineageOut
from broker.adapters.tables import Adapter
from broker.http.edge import CustomerCaller, CustomerWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfCustomer, OfJob, OfProject, Order, Page
from broker.http.stored_file import send_stored

router = feature_router("/adapters", "adapters")


@router.get("")
async def list_adapters(
    work: CustomerWork,
    customer_id: OfCustomer = None,
    project_id: OfProject = None,
    job_id: OfJob = None,
    name: Annotated[str | None, Query(description="Only versions of this one.", examples=["cyberpunk"])] = None,
    tag: Annotated[str | None, Query(description="Only those with this tag.", examples=["approved"])] = None,
    stage: Annotated[Stage | None, Query(description="Only what is current there.", examples=["test"])] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[AdapterOut]:
    whose = {"customer_id": customer_id, "project_id": project_id, "job_id": job_id, "name": name}
    query = service.select_finished(tag=tag, stage=stage, id_prefix=id_prefix, **whose)
    rows, after = await fetch_page(work.session, query, Adapter, limit=limit, cursor=cursor, order=order)
    known = await service.learn_of(work, rows)
    return Page(data=[AdapterOut.of(row, known) for row in rows], next_cursor=after)


@router.get("/compare")
async def compare_adapters(
    work: CustomerWork,
    first: Annotated[str, Query(max_length=64, description="An adapter's id.", examples=["ada_01j"])],
    second: Annotated[str, Query(max_length=64, description="Another's.", examples=["ada_01k"])],
) -> AdapterComparisonOut:
    """Compare two adapters: what they were made of, and what they came to."""
    rows = [await service.get_adapter(work, each) for each in (first, second)]
    return AdapterComparisonOut.of(rows, await service.learn_of(work, rows))


@router.get("/{adapter_id}/lineage")
async def get_adapter_lineage(work: CustomerWork, adapter_id: str) -> LineageOut:
    """Get where an adapter comes from and what went on from it, as a graph."""
    adapter = await service.get_adapter(work, adapter_id)
    return LineageOut.of(adapter, await trace_lineage(work, adapter))


@router.get("/{adapter_id}")
async def get_adapter(work: CustomerWork, adapter_id: str) -> AdapterOut:
    adapter = await service.get_adapter(work, adapter_id)
    return AdapterOut.of(adapter, await service.learn_of(work, [adapter]))


@router.patch("/{adapter_id}")
async def change_adapter(work: CustomerWork, adapter_id: str, body: AdapterChangesIn) -> AdapterOut:
    """Tag an adapter: all its tags anew."""
    adapter = await service.tag_adapter(work, adapter_id, body.tags)
    return AdapterOut.of(adapter, await service.learn_of(work, [adapter]))


@router.get(
    "/{adapter_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The .safetensors file."}},
)
async def download_adapter(
    caller: CustomerCaller,
    request: Request,
    adapter_id: str,
    layout: Annotated[
        Layout,
        Query(
            description="`peft`; `diffusers`; or `kohya`, which WebUI and ComfyUI read, too: made when it is first "
            "asked for, and kept.",
            examples=["kohya"],
        ),
    ] = Layout.PEFT,
) -> Response:
    """Download the adapter as one `.safetensors` file; its SHA-256 is in `X-Content-SHA256`."""
    async with caller.look() as work:
        adapter = await service.get_adapter(work, adapter_id)
        source, stem = Source.of(adapter), f"{adapter.name}_v{adapter.version}"
    exports: Exports = request.app.state.exports
    made = await exports.get(caller.services, source, layout)
    ending = "" if layout is Layout.PEFT else f".{layout.value}"
    response = send_stored(
        caller.services.storage,
        made.storage_key,
        filename=f"{stem}{ending}.safetensors",
        headers={"X-Content-SHA256": made.sha256},
    )
    async with caller.look() as work:
        work.note_look(adapter.id, adapter.customer_id)
        await caller.record(work, response)
    return response


@router.get("/{adapter_id}/config")
async def get_adapter_config(work: CustomerWork, adapter_id: str) -> dict[str, Any]:
    """Get `adapter_config.json` of an adapter, as its file tells it: put beside the weights, peft loads them."""
    adapter = await service.get_adapter(work, adapter_id)
    return await service.read_peft_config(work, adapter)


@router.delete("/{adapter_id}", status_code=204)
async def delete_adapter(work: CustomerWork, adapter_id: str) -> None:
    """Delete an adapter and its file. The job, its usage and its invoices stay; a version is not given twice."""
    await service.delete_adapter(work, adapter_id)
