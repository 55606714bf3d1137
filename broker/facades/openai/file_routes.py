"""Files: each is a data set."""

from typing import Annotated, Any

from fastapi import File, Form, Query, Request, Response, UploadFile

from broker.facades.asking import Broker, find_order_key_of, is_repeated, require_name
from broker.facades.openai.door import facade_router
from broker.facades.openai.objects import RESULTS, list_objects, write_file
from broker.facades.openai.results import write_results
from broker.facades.orders import refuse
from broker.facades.uploads import answer_file, digest_upload, send_dataset

router = facade_router()
PURPOSE = "fine-tune"


@router.post("/files")
async def create_file(
    request: Request, file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()]
) -> dict[str, Any]:
    """Keep a file as a data set. Its rows are checked at once: `status_details` says what cannot be used."""
    if purpose != PURPOSE:
        raise refuse("purpose", f"must be {PURPOSE}: files serve training alone")
    key = await find_order_key_of(request, await digest_upload(file), is_repeated=is_repeated(request))
    return write_file(await send_dataset(Broker(request), file, key))


@router.get("/files")
async def list_files(
    request: Request,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 20,
    purpose: str | None = None,
    _order: Annotated[str, Query(alias="order", pattern="^desc$")] = "desc",
) -> dict[str, Any]:
    """List files, the newest first."""
    if purpose not in (None, PURPOSE):
        return list_objects([], has_more=False)
    page = await Broker(request).get("/datasets", limit=min(limit, 100), cursor=after)
    return list_objects([write_file(each) for each in page["data"]], has_more=page["next_cursor"] is not None)


@router.get("/files/{file_id}")
async def retrieve_file(request: Request, file_id: str) -> dict[str, Any]:
    broker = Broker(request)
    if file_id.startswith(RESULTS):
        content, created = await write_results(broker, file_id)
        told = {"bytes": len(content), "created_at": created, "filename": "step_metrics.csv"}
        return {"id": file_id, "object": "file", "purpose": "fine-tune-results", "status": "processed", **told}
    return write_file(await broker.get(f"/datasets/{require_name(file_id)}"))


@router.get("/files/{file_id}/content")
async def retrieve_content(request: Request, file_id: str) -> Response:
    """Answer the file as it was sent, or the losses of a job as CSV."""
    if file_id.startswith(RESULTS):
        content, _created = await write_results(Broker(request), file_id)
        return Response(content, media_type="text/csv")
    return await answer_file(request, require_name(file_id))


@router.delete("/files/{file_id}")
async def delete_file(request: Request, file_id: str) -> dict[str, Any]:
    await Broker(request).send("DELETE", f"/datasets/{require_name(file_id)}")
    return {"id": file_id, "object": "file", "deleted": True}
