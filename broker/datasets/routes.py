"""Upload of data sets and their quality reports."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated

from fastapi import Depends, File, Form, Query, UploadFile
from fastapi.responses import StreamingResponse

from broker import errors
from broker.datasets import service, token_counts, uploads
from broker.datasets.data_files import DataFile, StoredFile, UploadedFile
from broker.datasets.file_download import require_file, stream_file
from broker.datasets.room import measure_room, within_room
from broker.datasets.schemas import DatasetOut, FromUploadsIn, StorageOut
from broker.datasets.tables import Dataset
from broker.datasets.uploads import Upload
from broker.http.edge import AnyKey, CustomerCaller, CustomerWork, feature_router
from broker.http.form import ReceivedFile
from broker.http.languages import Saying
from broker.http.paging import fetch_page
from broker.http.plain_text import PlainLine
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfCustomer, Order, Page
from broker.identity.service import get_customer, require_acting, resolve_customer, resolve_customer_of
from broker.persistence.pieces import open_piece
from broker.persistence.storage import Storage

router = feature_router("/datasets", "datasets")
customers = feature_router("/customers/{customer_id}", "datasets")


@router.post("", status_code=201, dependencies=[Depends(within_room)])
async def upload_dataset(
    caller: CustomerCaller,
    say: Saying,
    files: Annotated[list[UploadFile], File(description="The data, or archives of it.", examples=[["train.jsonl"]])],
    name: Annotated[
        PlainLine | None,
        Form(max_length=200, description="A name for people; default: the first file's.", examples=["brand tone"]),
    ] = None,
    customer_id: Annotated[str | None, Form(description="Needed with a staff key only.", examples=["cus_01k"])] = None,
) -> DatasetOut:
    """Upload a data set and get its quality report.

    Send .jsonl or .csv files with `prompt` and `completion`; or pictures, with their captions in metadata.csv or
    metadata.jsonl (`file_name`, `text`), in a .txt beside each, or in the name of their folder (`10_style` is ten
    repeats an epoch). A zip or tar of them will do.
    """
    require_acting(caller.actor)
    async with caller.look() as work:
        customer = (await get_customer(work, resolve_customer(work, customer_id))).id
    uploads = [_take(file) for file in files]
    received = await service.receive_upload(caller.services, customer, uploads)
    caller.delete_unless_used(received.stored.key, lambda: received.is_used)
    work = await caller.begin()
    kept = await service.keep_dataset(work, customer, name or uploads[0].name[:200], received)
    return DatasetOut.of(kept, say=say)


@router.post("/from-uploads", status_code=201)
async def make_dataset_of_uploads(caller: CustomerCaller, say: Saying, body: FromUploadsIn) -> DatasetOut:
    """Make a data set of uploads that are whole (`POST /v1/uploads`, tus); they are gone then."""
    require_acting(caller.actor)
    async with caller.look() as work:
        customer = (await get_customer(work, resolve_customer(work, body.customer_id))).id
        found = await uploads.get_whole(work, customer, body.upload_ids)
    async with AsyncExitStack() as borrowed:
        files = [await _borrow(borrowed, caller.services.storage, upload) for upload in found]
        received = await service.receive_upload(caller.services, customer, files)
    caller.delete_unless_used(received.stored.key, lambda: received.is_used)
    for upload in found:
        caller.delete_once_kept(upload.storage_key)
    work = await caller.begin()
    for upload in found:
        await uploads.delete_upload(work, upload.id)
    kept = await service.keep_dataset(work, customer, body.name or found[0].name, received)
    return DatasetOut.of(kept, say=say)


async def _borrow(borrowed: AsyncExitStack, storage: Storage, upload: Upload) -> DataFile:
    """Have an upload as a file, which stays when another request deletes it; one of no bytes lies nowhere.

    Raises: NotFound, where another was quicker.
    """
    if not upload.size_bytes:
        return UploadedFile(upload.name, b"")
    path = await borrowed.enter_async_context(storage.borrow(upload.storage_key))
    try:
        file = borrowed.enter_context(path.open("rb"))
    except FileNotFoundError as error:
        raise errors.NotFound("upload", upload.id) from error
    return StoredFile(upload.name, upload.size_bytes, partial(open_piece, file, 0, upload.size_bytes))


def _take(file: UploadFile) -> DataFile:
    assert isinstance(file, ReceivedFile), "the edge receives forms so (`http/body.py`)"
    return StoredFile(file.filename or "file", file.size or 0, file.open)


@router.get("")
async def list_datasets(
    work: CustomerWork,
    say: Saying,
    customer_id: OfCustomer = None,
    name: Annotated[str | None, Query(description="Only those of this name.", examples=["brand tone"])] = None,
    root_id: Annotated[
        str | None,
        Query(description="Only the versions of this upload, which itself is not one.", examples=["dat_01k"]),
    ] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[DatasetOut]:
    query = service.select_datasets(id_prefix=id_prefix, customer_id=customer_id, name=name, root_id=root_id)
    rows, after = await fetch_page(work.session, query, Dataset, limit=limit, cursor=cursor, order=order)
    counts = await token_counts.list_counts(work, [row.id for row in rows])
    shown = [DatasetOut.of(row, [count for count in counts if count.dataset_id == row.id], say=say) for row in rows]
    return Page(data=shown, next_cursor=after)


@router.get("/{dataset_id}")
async def get_dataset(work: CustomerWork, say: Saying, dataset_id: str) -> DatasetOut:
    """Get a data set with its report, and how far its tokens are counted."""
    dataset = await service.get_dataset(work, dataset_id)
    return DatasetOut.of(dataset, await token_counts.list_counts(work, [dataset.id]), say=say)


@router.get(
    "/{dataset_id}/file",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file."}},
)
async def download_dataset_file(
    work: CustomerWork,
    dataset_id: str,
    name: Annotated[str, Query(description="One of its `files`.", examples=["train.jsonl"])],
) -> StreamingResponse:
    """Download a file of a data set as it was uploaded, or as it was in the archive."""
    dataset = await service.get_dataset(work, dataset_id)
    size = require_file(dataset, name)
    work.note_look(dataset.id, dataset.customer_id)
    pieces = stream_file(work.storage, dataset.tar, name)
    return StreamingResponse(pieces, media_type="application/octet-stream", headers={"Content-Length": str(size)})


@customers.get("/storage")
async def get_storage(work: AnyKey, customer_id: str) -> StorageOut:
    """Tell what a customer's data sets and open uploads have in storage, and may have."""
    resolve_customer_of(work.actor, customer_id)
    return StorageOut.of(customer_id, await measure_room(work, customer_id))
