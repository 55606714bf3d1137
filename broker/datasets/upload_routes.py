"""Uploads that go on after a break: the tus protocol 1.0, and data sets made of what has come so.

Source: https://tus.io/protocols/resumable-upload, core with creation, termination, checksum and expiration.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import format_datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Query, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, Response

from broker import errors
from broker.datasets import uploads
from broker.datasets.schemas import UploadOut
from broker.datasets.uploads import ALGORITHMS, Checksum, Upload
from broker.http.edge import CustomerCaller, CustomerWork, StreamCaller, feature_router
from broker.http.paging import fetch_page
from broker.http.problems import MEDIA_TYPE, describe_error
from broker.http.shapes import NEWEST, PROBLEM_SCHEMA, Cursor, IdPrefix, Limit, OfCustomer, Order, Page
from broker.identity.service import get_customer, require_acting, resolve_customer

router = feature_router("/uploads", "datasets")
VERSION = "1.0.0"
EXTENSIONS = "creation,termination,checksum,expiration"
PIECE_TYPE = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460  # of tus; no number of HTTP's own
BINARY = {
    "requestBody": {"required": True, "content": {PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}
OTHER_VERSION: dict[int | str, dict[str, Any]] = {
    412: {"description": "Another version of tus than 1.0.0.", "content": PROBLEM_SCHEMA}
}
PIECE_RESPONSES: dict[int | str, dict[str, Any]] = {
    **OTHER_VERSION,
    415: {"description": f"The body is not {PIECE_TYPE}.", "content": PROBLEM_SCHEMA},
    CHECKSUM_MISMATCH: {"description": "The piece is not what its checksum says.", "content": PROBLEM_SCHEMA},
}
TusVersion = Annotated[
    str | None, Header(alias="Tus-Resumable", description="Version of tus, 1.0.0.", examples=[VERSION])
]


def _require_version(version: str | None) -> None:
    """Refuse a client of another protocol. Raises: HTTPException."""
    if version != VERSION:
        message = f"Tus-Resumable: must be {VERSION}, which is the version of tus that is spoken here."
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED, message, {"Tus-Version": VERSION, "Tus-Resumable": VERSION})


def _tell(upload: Upload, received: int | None = None) -> Mapping[str, str]:
    """Tell of an upload in the headers of tus."""
    told = {
        "Tus-Resumable": VERSION,
        "Upload-Length": str(upload.size_bytes),
        "Upload-Expires": format_datetime(upload.expires_at.astimezone(UTC), usegmt=True),
        "Cache-Control": "no-store",
    }
    if received is not None:
        told["Upload-Offset"] = str(received)
    return told | ({"Upload-Metadata": upload.metadata_header} if upload.metadata_header else {})


@router.options("", status_code=204)
async def describe_uploads(work: CustomerWork) -> Response:
    """Describe which version and extensions of tus are spoken here, and how large an upload may be."""
    told = {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Max-Size": str(work.settings.max_dataset_bytes),
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=told)


@router.post("", status_code=201, responses=OTHER_VERSION)
async def create_upload(
    caller: CustomerCaller,
    length: Annotated[
        int, Header(alias="Upload-Length", ge=0, le=2**53, description="Bytes of the whole file.", examples=[1048576])
    ],
    metadata: Annotated[
        str,
        Header(
            alias="Upload-Metadata",
            description="Pairs of a key and base64, with commas between; `filename` names the file.",
            examples=["filename dHJhaW4uanNvbmw="],
        ),
    ] = "",
    version: TusVersion = None,
    customer_id: Annotated[str | None, Query(description="Needed with a staff key only.", examples=["cus_01k"])] = None,
) -> UploadOut:
    """Open an upload that goes on after breaks (tus); `Location` says where its pieces are sent."""
    _require_version(version)
    require_acting(caller.actor)
    work = await caller.begin()
    customer = (await get_customer(work, resolve_customer(work, customer_id))).id
    upload = await uploads.open_upload(work, customer, length, metadata)
    answer = UploadOut.of(upload, 0).model_dump(mode="json")
    headers = {**_tell(upload), "Location": f"/v1/uploads/{upload.id}"}
    return JSONResponse(answer, HTTPStatus.CREATED, headers)  # type: ignore[return-value]


@router.get("")
async def list_uploads(
    caller: CustomerCaller,
    customer_id: OfCustomer = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[UploadOut]:
    """List the uploads that are open, each with how much of it is there."""
    async with caller.look() as work:
        query = uploads.select_uploads(work.now, id_prefix=id_prefix, customer_id=customer_id)
        rows, after = await fetch_page(work.session, query, Upload, limit=limit, cursor=cursor, order=order)
    shown = [UploadOut.of(row, await uploads.count_received(caller.services, row)) for row in rows]
    return Page(data=shown, next_cursor=after)


@router.get("/{upload_id}")
async def get_upload(caller: CustomerCaller, upload_id: str) -> UploadOut:
    """Get an upload; its headers, which `HEAD` answers alone, say from where to go on (`Upload-Offset`)."""
    async with caller.look() as work:
        upload = await uploads.get_upload(work, upload_id)
    received = await uploads.count_received(caller.services, upload)
    answer = UploadOut.of(upload, received).model_dump(mode="json")
    return JSONResponse(answer, headers=_tell(upload, received))  # type: ignore[return-value]


@router.patch("/{upload_id}", status_code=204, openapi_extra=BINARY, responses=PIECE_RESPONSES)
async def append_to_upload(
    caller: StreamCaller,
    request: Request,
    upload_id: str,
    offset: Annotated[
        int, Header(alias="Upload-Offset", ge=0, le=2**53, description="First byte of the piece.", examples=[0])
    ],
    version: TusVersion = None,
    checksum: Annotated[
        str | None,
        Header(
            alias="Upload-Checksum",
            description="Algorithm and base64 of the digest; the piece is kept whole or not at all then.",
            examples=["sha256 n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="],
        ),
    ] = None,
) -> Response:
    """Append a piece to an upload, as raw bytes; what came of one that broke off stays."""
    _require_version(version)
    require_acting(caller.actor)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != PIECE_TYPE:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: must be {PIECE_TYPE}.")
    wanted = None if checksum is None else Checksum.read(checksum)
    try:
        told = await uploads.write_piece(caller.services, caller.look, upload_id, offset, request.stream(), wanted)
    except errors.ChecksumMismatch as error:
        problem: dict[str, Any] = describe_error(error) | {"status": CHECKSUM_MISMATCH}
        return JSONResponse(problem, CHECKSUM_MISMATCH, media_type=MEDIA_TYPE)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=dict(_tell(*told)))


@router.delete("/{upload_id}", status_code=204, responses=OTHER_VERSION)
async def delete_upload(caller: CustomerCaller, upload_id: str, version: TusVersion = None) -> Response:
    """Delete an upload, and what has come of it."""
    if version is not None:
        _require_version(version)
    require_acting(caller.actor)
    async with caller.look() as work:
        key = (await uploads.get_upload(work, upload_id)).storage_key
    caller.delete_once_kept(key)
    await uploads.delete_upload(await caller.begin(), upload_id)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Tus-Resumable": VERSION})
