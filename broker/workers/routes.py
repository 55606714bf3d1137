"""The worker protocol: what `trainer run` asks of the broker, with its run token (`docs/worker-protocol.md`)."""

from typing import Annotated

from fastapi import Header, Path, Query, Request
from fastapi.responses import FileResponse

from broker import errors
from broker.http.edge import RunWork, feature_router
from broker.metering.routes import FenceHeader
from broker.work import Work
from broker.workers import chunks, service
from broker.workers.schemas import (
    ClaimIn,
    FinishIn,
    FinishOut,
    HeartbeatIn,
    HeartbeatOut,
    PartsOut,
    RunAssignmentOut,
    StoredOut,
)

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
PartsOf = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-fA-F]{64}$",
        description="SHA-256 of the whole file, hex.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
FromParts = Annotated[bool, Query(description="Make it of the parts sent before; no body then.", examples=[False])]
BINARY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def check_own_run(work: Work, run_id: str) -> None:
    """A run token speaks for its own run only. Raises: NotFound."""
    if work.actor.id != run_id:
        raise errors.NotFound("run", run_id)


@router.post("/claim")
async def claim(work: RunWork, run_id: str, body: ClaimIn) -> RunAssignmentOut:
    """The worker holds its devices and takes the run."""
    check_own_run(work, run_id)
    return await service.claim(work, run_id, body.fence_token)


@router.post("/heartbeats")
async def heartbeat(work: RunWork, run_id: str, body: HeartbeatIn) -> HeartbeatOut:
    """Progress and usage; the answer says whether to go on."""
    check_own_run(work, run_id)
    return await service.heartbeat(work, run_id, body)


@router.post("/finish")
async def finish(work: RunWork, run_id: str, body: FinishIn) -> FinishOut:
    """The run has ended, with its last intervals."""
    check_own_run(work, run_id)
    held = await service.finish(work, run_id, body)
    return FinishOut(run_status=held.run.status, job_status=held.job.status)


@router.get("/dataset", response_class=FileResponse)
async def download_dataset(work: RunWork, run_id: str) -> FileResponse:
    """The run's data set as one tar."""
    check_own_run(work, run_id)
    key = await service.dataset_of_run(work, run_id)
    return FileResponse(work.storage.local_path(key), media_type="application/x-tar")


@router.get("/checkpoint", response_class=FileResponse)
async def download_checkpoint(work: RunWork, run_id: str) -> FileResponse:
    """The checkpoint that the run goes on from."""
    check_own_run(work, run_id)
    key = await service.checkpoint_of_run(work, run_id)
    return FileResponse(work.storage.local_path(key), media_type="application/octet-stream")


@router.get("/parts/{sha256}")
async def count_received(work: RunWork, run_id: str, sha256: PartsOf) -> PartsOut:
    """How much of a file is here: an upload that was cut off goes on from there."""
    check_own_run(work, run_id)
    return PartsOut(received_bytes=await chunks.count_received(work, run_id, sha256))


@router.put("/parts/{sha256}", openapi_extra=BINARY)
async def upload_part(
    work: RunWork,
    request: Request,
    run_id: str,
    sha256: PartsOf,
    fence_token: FenceHeader,
    offset: Annotated[int, Query(ge=0, le=10**12, description="First byte of the part.", examples=[8388608])] = 0,
) -> PartsOut:
    """One part of a large file, as raw bytes; all of them together have the SHA-256 of the path."""
    check_own_run(work, run_id)
    received = await chunks.store_part(work, run_id, fence_token, sha256, offset, request.stream())
    return PartsOut(received_bytes=received)


@router.put("/checkpoints/{step}", status_code=201, openapi_extra=BINARY)
async def upload_checkpoint(
    work: RunWork,
    request: Request,
    run_id: str,
    step: Annotated[int, Path(ge=0, le=10**12, description="Optimizer step.", examples=[100])],
    fence_token: FenceHeader,
    sha256: Checksum,
    from_parts: FromParts = False,
) -> StoredOut:
    """One tar of a checkpoint folder, as raw bytes, or made of the parts that were sent before."""
    check_own_run(work, run_id)
    content = chunks.read_parts(work, run_id, sha256) if from_parts else request.stream()
    checkpoint = await service.store_checkpoint(work, run_id, fence_token, step, content, sha256)
    await chunks.forget_parts(work, run_id, sha256)
    return StoredOut(sha256=checkpoint.sha256, size_bytes=checkpoint.size_bytes)


@router.put("/adapter", status_code=201, openapi_extra=BINARY)
async def upload_adapter(
    work: RunWork,
    request: Request,
    run_id: str,
    fence_token: FenceHeader,
    sha256: Checksum,
    from_parts: FromParts = False,
) -> StoredOut:
    """The finished adapter, as raw bytes of one `.safetensors` file, or made of the parts that were sent before."""
    check_own_run(work, run_id)
    content = chunks.read_parts(work, run_id, sha256) if from_parts else request.stream()
    size_bytes = await service.store_adapter(work, run_id, fence_token, content, sha256)
    await chunks.forget_parts(work, run_id, sha256)
    return StoredOut(sha256=sha256.lower(), size_bytes=size_bytes)
