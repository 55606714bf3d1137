"""The worker protocol: what `trainer run` asks of the broker, with its run token (`docs/worker-protocol.md`)."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import Header, Path, Query, Request
from fastapi.responses import FileResponse, Response

from broker import errors
from broker.adapters.service import receive_adapter
from broker.datasets.schemas import FindingCountsOut
from broker.http.caller import Caller
from broker.http.edge import RunCaller, RunWork, feature_router
from broker.http.shapes import FenceHeader
from broker.http.stored_file import StreamedResponse, send_stored
from broker.jobs.rules.model import RunStatus
from broker.jobs.running.locked_run import check_current
from broker.jobs.running.log_lines import keep_lines
from broker.persistence.storage import StoredObject
from broker.work import Work
from broker.workers import chunks
from broker.workers.assignment import claim_assignment, get_checkpoint_key, get_dataset_tar, get_start_key
from broker.workers.checked import keep_checked, receive_report
from broker.workers.finishing import Finish, send_finish
from broker.workers.heartbeat import Beat
from broker.workers.heartbeat_batches import send_heartbeat
from broker.workers.labelled import find_order, keep_labelled, receive_labelled, receive_words
from broker.workers.protocol import SpokenProtocol, check_protocol
from broker.workers.schemas import (
    ChunksOut,
    ClaimIn,
    FinishIn,
    FinishOut,
    HeartbeatIn,
    HeartbeatOut,
    LabelledOut,
    LogIn,
    LogOut,
    RunAssignmentOut,
    StoredOut,
)
from broker.workers.uploads import keep_adapter, keep_checkpoint, receive_checkpoint

router = feature_router("/runs/{run_id}", "workers")

Checksum = Annotated[
    str,
    Header(
        alias="X-Content-SHA256",
        pattern=r"^[0-9a-fA-F]{64}$",
        description="SHA-256 of the body, hex.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
ChunksOf = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-fA-F]{64}$",
        description="SHA-256 of the whole file, hex.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
FromChunks = Annotated[bool, Query(description="Make it of the chunks sent before; no body then.", examples=[False])]
BINARY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def check_own_run(bearer: Work | Caller, run_id: str) -> None:
    """Refuse a run token that is not of this run. Raises: NotFound."""
    if bearer.actor.id != run_id:
        raise errors.NotFound("run", run_id)


async def check_may_report(caller: Caller, run_id: str, fence_token: int) -> None:
    """Refuse an upload before its bytes are received. Raises: NotFound, StaleFenceToken."""
    check_own_run(caller, run_id)
    async with caller.look() as work:
        await check_current(work, run_id, fence_token)


@router.post("/claim")
async def claim(work: RunWork, run_id: str, body: ClaimIn, spoken: SpokenProtocol = 1) -> RunAssignmentOut:
    """Claim the run for a worker that holds its devices; returns what to train, from what."""
    check_own_run(work, run_id)
    check_protocol(spoken)
    return RunAssignmentOut.of(await claim_assignment(work, run_id, body.fence_token))


@router.post("/heartbeats")
async def heartbeat(caller: RunCaller, request: Request, run_id: str, body: HeartbeatIn) -> HeartbeatOut:
    """Report progress, usage and observations; the answer says whether to go on."""
    check_own_run(caller, run_id)
    beat = Beat(run_id, body.fence_token, body.read_report())
    return HeartbeatOut.of(await send_heartbeat(request.app.state.heartbeats, caller, beat))


@router.post("/logs")
async def tell_log(work: RunWork, run_id: str, body: LogIn) -> LogOut:
    """Tell lines of the run's log, beside its heartbeats; told again they change nothing, and too many are left out."""
    check_own_run(work, run_id)
    return LogOut.of(await keep_lines(work, run_id, body.fence_token, body.read_lines()))


@router.post("/finish")
async def finish(caller: RunCaller, request: Request, run_id: str, body: FinishIn) -> FinishOut:
    """Finish the run, with its last usage intervals."""
    check_own_run(caller, run_id)
    error = None if body.error is None else body.error.model_dump()
    told = Finish(run_id, body.fence_token, RunStatus(body.outcome), body.read_report(), error)
    return FinishOut.of(await send_finish(request.app.state.finishes, caller, told))


@router.get("/dataset", response_class=FileResponse)
async def download_dataset(work: RunWork, run_id: str) -> Response:
    """Download the run's data set as one tar."""
    check_own_run(work, run_id)
    tar = await get_dataset_tar(work, run_id)
    if tar.base_key is None:
        return send_stored(work.storage, tar.key, media_type="application/x-tar")
    return StreamedResponse(tar.bind(work.storage), media_type="application/x-tar")


@router.get("/checkpoint", response_class=FileResponse)
async def download_checkpoint(work: RunWork, run_id: str) -> Response:
    """Download the checkpoint that the run goes on from, as one tar."""
    check_own_run(work, run_id)
    key = await get_checkpoint_key(work, run_id)
    return send_stored(work.storage, key)


@router.get("/init-adapter", response_class=FileResponse)
async def download_init_adapter(work: RunWork, run_id: str) -> Response:
    """Download the adapter that the run's configuration goes on from."""
    check_own_run(work, run_id)
    key = await get_start_key(work, run_id)
    return send_stored(work.storage, key)


@router.get("/chunks/{sha256}")
async def count_received(work: RunWork, run_id: str, sha256: ChunksOf) -> ChunksOut:
    """Tell how many bytes of a file the broker has: an upload that was cut off goes on from there."""
    check_own_run(work, run_id)
    return ChunksOut(received_bytes=await chunks.count_received(work, run_id, sha256))


@router.put("/chunks/{sha256}", openapi_extra=BINARY)
async def upload_chunk(
    caller: RunCaller,
    request: Request,
    run_id: str,
    sha256: ChunksOf,
    fence_token: FenceHeader,
    offset: Annotated[int, Query(ge=0, le=10**12, description="First byte of the chunk.", examples=[8388608])] = 0,
) -> ChunksOut:
    """Upload one chunk of a large file, as raw bytes; all chunks together have the SHA-256 of the path."""
    await check_may_report(caller, run_id, fence_token)
    received = await chunks.store_chunk(caller.services.storage, run_id, sha256, offset, request.stream())
    return ChunksOut(received_bytes=received)


@router.put("/checkpoints/{step}", status_code=201, openapi_extra=BINARY)
async def upload_checkpoint(
    caller: RunCaller,
    request: Request,
    run_id: str,
    step: Annotated[int, Path(ge=0, le=10**12, description="Optimizer step.", examples=[100])],
    fence_token: FenceHeader,
    sha256: Checksum,
    from_chunks: FromChunks = False,
) -> StoredOut:
    """Upload a checkpoint: one tar of its folder, as raw bytes, or made of the chunks sent before."""
    await check_may_report(caller, run_id, fence_token)
    content = _read_content(caller, request, run_id, sha256, from_chunks=from_chunks)
    stored = await receive_checkpoint(caller.services, run_id, step, content, sha256)
    work = await _begin_keeping(caller, run_id, sha256, stored)
    await keep_checkpoint(work, run_id, fence_token, step, stored)
    return StoredOut(sha256=stored.sha256, size_bytes=stored.size_bytes)


@router.put("/adapter", status_code=201, openapi_extra=BINARY)
async def upload_adapter(
    caller: RunCaller,
    request: Request,
    run_id: str,
    fence_token: FenceHeader,
    sha256: Checksum,
    from_chunks: FromChunks = False,
) -> StoredOut:
    """Upload the finished adapter: one `.safetensors` file, as raw bytes, or made of the chunks sent before."""
    await check_may_report(caller, run_id, fence_token)
    content = _read_content(caller, request, run_id, sha256, from_chunks=from_chunks)
    stored = await receive_adapter(caller.services, run_id, content, sha256)
    work = await _begin_keeping(caller, run_id, sha256, stored)
    await keep_adapter(work, run_id, fence_token, stored)
    return StoredOut(sha256=stored.sha256, size_bytes=stored.size_bytes)


@router.put("/captions", status_code=201, openapi_extra=BINARY)
async def upload_captions(
    caller: RunCaller,
    request: Request,
    run_id: str,
    fence_token: FenceHeader,
    sha256: Checksum,
    from_chunks: FromChunks = False,
) -> LabelledOut:
    """Upload what a labelling has made, as JSON: `{"pictures": [{"name", "words", "tokens"}]}`.

    The pictures with their new captions become the next version of the data set.
    """
    await check_may_report(caller, run_id, fence_token)
    said = await receive_words(_read_content(caller, request, run_id, sha256, from_chunks=from_chunks), sha256)
    async with caller.look() as work:
        order = await find_order(work, run_id)
    received = None if order.made is not None else await receive_labelled(caller.services, order, said)
    if received is not None:
        caller.delete_unless_used(received.stored.key, partial(getattr, received, "is_used"))
    caller.delete_once_kept(chunks.name_key(run_id, sha256))
    work = await caller.begin()
    kept = await keep_labelled(work, run_id, fence_token, order, received, len(said))
    return LabelledOut(dataset_id=kept.id, version=kept.version)


@router.put("/report", status_code=201, openapi_extra=BINARY)
async def upload_report(
    caller: RunCaller,
    request: Request,
    run_id: str,
    fence_token: FenceHeader,
    sha256: Checksum,
    from_chunks: FromChunks = False,
) -> FindingCountsOut:
    """Upload what a check has found, as JSON: `{"figures": {}, "findings": [{"file", "line", "level", "message",
    "cure"}]}`. It becomes the report of the data set.
    """
    await check_may_report(caller, run_id, fence_token)
    report = await receive_report(_read_content(caller, request, run_id, sha256, from_chunks=from_chunks), sha256)
    caller.delete_once_kept(chunks.name_key(run_id, sha256))
    return FindingCountsOut(**await keep_checked(await caller.begin(), run_id, fence_token, report))


def _read_content(
    caller: Caller, request: Request, run_id: str, sha256: str, *, from_chunks: bool
) -> AsyncIterator[bytes]:
    return chunks.read_file(caller.services.storage, run_id, sha256) if from_chunks else request.stream()


async def _begin_keeping(caller: Caller, run_id: str, sha256: str, stored: StoredObject) -> Work:
    """Begin the transaction that keeps a stored upload: its chunks go with the commit, or else the upload goes."""
    caller.delete_unless_kept(stored.key)
    caller.delete_once_kept(chunks.name_key(run_id, sha256))
    return await caller.begin()
