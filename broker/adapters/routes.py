"""The adapter registry: what training has made, to list and download."""

from fastapi.responses import FileResponse

from broker.adapters import service
from broker.adapters.schemas import AdapterOut
from broker.adapters.tables import Adapter
from broker.http.edge import AnyKey, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, Page

router = feature_router("/adapters", "adapters")


@router.get("")
async def list_adapters(work: AnyKey, limit: Limit = 20, cursor: Cursor = None) -> Page[AdapterOut]:
    rows, after = await fetch_page(work.session, service.select_finished(), Adapter, limit=limit, cursor=cursor)
    return Page(data=[AdapterOut.of(row) for row in rows], next_cursor=after)


@router.get("/{adapter_id}")
async def get_adapter(work: AnyKey, adapter_id: str) -> AdapterOut:
    return AdapterOut.of(await service.get_adapter(work, adapter_id))


@router.get(
    "/{adapter_id}/download",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The .safetensors file."}},
)
async def download_adapter(work: AnyKey, adapter_id: str) -> FileResponse:
    """Download the adapter as one `.safetensors` file in PEFT layout; its SHA-256 is in `X-Content-SHA256`."""
    adapter = await service.get_adapter(work, adapter_id)
    return FileResponse(
        work.storage.local_path(adapter.storage_key),
        filename=f"{adapter.name}_v{adapter.version}.safetensors",
        headers={"X-Content-SHA256": adapter.sha256},
    )
