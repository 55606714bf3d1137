"""Files: each is a data set."""

from typing import Annotated, Any

from fastapi import File, Query, Request, Response, UploadFile

from broker.facades.asking import Broker, Refused, require_name
from broker.facades.dashscope.door import answer, facade_router, tell_fault
from broker.facades.dashscope.objects import write_file
from broker.facades.numbered_pages import LONGEST_PAGE, fetch_numbered_page
from broker.facades.uploads import name_upload, send_dataset

router = facade_router()
PageNo = Annotated[int, Query(ge=1, le=10_000)]
PageSize = Annotated[int, Query(ge=1, le=LONGEST_PAGE)]


@router.post("/files")
async def upload_files(request: Request, files: Annotated[list[UploadFile], File()]) -> Response:
    """Keep each file as a data set. One that is refused is told alone, or beside those that were kept."""
    broker = Broker(request)
    kept, failed = list[dict[str, Any]](), list[dict[str, Any]]()
    for file in files:
        try:
            dataset = await send_dataset(broker, file)  # one that is sent again is a second: it costs nothing
        except Refused as refused:
            if len(files) == 1:
                raise
            failed.append({"name": name_upload(file), **tell_fault(request, refused)[1]})
        else:
            kept.append({"file_id": dataset["id"], "name": dataset["name"]})
    return answer({"data": {"uploaded_files": kept, "failed_uploads": failed}})


@router.get("/files")
async def list_files(request: Request, page_no: PageNo = 1, page_size: PageSize = 10) -> Response:
    """List files, the newest first."""
    page = await fetch_numbered_page(Broker(request), "/datasets", page_no, page_size)
    told = {"page_no": page_no, "page_size": page_size, "total": page.total}
    return answer({"data": {**told, "files": [write_file(each) for each in page.data]}})


@router.get("/files/{file_id}")
async def get_file(request: Request, file_id: str) -> Response:
    return answer({"data": write_file(await Broker(request).get(f"/datasets/{require_name(file_id)}"))})


@router.delete("/files/{file_id}")
async def delete_file(request: Request, file_id: str) -> Response:
    await Broker(request).send("DELETE", f"/datasets/{require_name(file_id)}")
    return answer({"data": {"deleted": True}})
