"""Files that come piece by piece, after breaks from where they stopped: rows here, bytes in the storage.

One request at a time writes to an upload. It holds a claim that is renewed while bytes come; where none come for a
while, as from a client whose line is cut, the next request takes the claim, and the one before writes no more.
"""

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update

from broker import errors
from broker.datasets.room import take_room
from broker.datasets.tables import Upload
from broker.persistence.database import narrow
from broker.persistence.storage import OffsetMismatch, Overtaken, TooLarge
from broker.work import Services, Work

__all__ = ["Upload", "count_received", "get_upload", "open_upload", "select_uploads", "write_piece"]

CLAIM_SECONDS, RENEW_SECONDS = 20, 5
MOST_OPEN = 500  # of one customer
LONGEST_NAME, LONGEST_METADATA = 200, 4096
ALGORITHMS = ("sha256", "sha1", "md5")
Look = Callable[[], AbstractAsyncContextManager[Work]]


@dataclass(frozen=True)
class Checksum:
    """What a piece is to have: the name of the algorithm and the digest."""

    algorithm: str
    digest: bytes

    @classmethod
    def read(cls, header: str) -> "Checksum":
        """Read `sha256 <base64>`. Raises: InvalidRequest."""
        algorithm, _, encoded = header.partition(" ")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            digest = b""
        if algorithm not in ALGORITHMS or not digest:
            known = ", ".join(ALGORITHMS)
            raise errors.invalid_field("Upload-Checksum", f"is an algorithm ({known}), a space and the base64 of it")
        return cls(algorithm, digest)


def read_metadata(header: str) -> dict[str, str]:
    """Read what a client says of an upload: pairs of a key and base64, with commas between. Raises: InvalidRequest."""
    told: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, encoded = pair.partition(" ")
        try:
            told[key] = base64.b64decode(encoded, validate=True).decode()
        except (ValueError, binascii.Error) as error:
            message = f"{key[:40]!r} has a value that is no base64 of UTF-8"
            raise errors.invalid_field("Upload-Metadata", message) from error
    return told


async def open_upload(work: Work, customer_id: str, size_bytes: int, metadata: str) -> Upload:
    """Open an upload of a known size. Raises: UploadTooLarge, StorageLimitReached, InvalidRequest."""
    limit = work.settings.max_dataset_bytes
    if size_bytes > limit:
        message = f"is more than {limit} bytes; send a smaller file"
        found = [errors.FieldError("Upload-Length", message)]
        raise errors.UploadTooLarge(f"Upload-Length: {message}", errors=found, limit_bytes=limit)
    if len(metadata) > LONGEST_METADATA or not metadata.isascii():
        raise errors.invalid_field("Upload-Metadata", f"has at most {LONGEST_METADATA} characters of ASCII")
    told = read_metadata(metadata)
    name = (told.get("filename") or told.get("name") or "file").replace("\0", "")[:LONGEST_NAME]
    query = select(func.count()).select_from(Upload).where(Upload.customer_id == customer_id, _is_open(work.now))
    if (await work.session.scalar(query) or 0) >= MOST_OPEN:
        raise errors.invalid_field("customer_id", f"has {MOST_OPEN} open uploads; finish or delete some (DELETE)")
    await take_room(work, customer_id, size_bytes, "Upload-Length")
    upload_id = work.new_id("upl")
    upload = Upload(
        id=upload_id,
        customer_id=customer_id,
        name=name,
        size_bytes=size_bytes,
        metadata_header=metadata,
        storage_key=f"uploads/{customer_id}/{upload_id}",
        created_at=work.now,
        expires_at=_next_end(work),
    )
    work.session.add(upload)
    await work.session.flush()
    return upload


def _next_end(work: Work) -> datetime:
    return work.now + timedelta(hours=work.settings.upload_hours)


def _is_open(now: datetime) -> ColumnElement[bool]:
    return Upload.expires_at > now


def select_uploads(now: datetime, **wanted: str | None) -> Select[Upload]:
    """Select the uploads that are open, all or those with these values in their columns."""
    return narrow(select(Upload).where(_is_open(now)), **wanted)


async def get_upload(work: Work, upload_id: str) -> Upload:
    """Get an upload. Raises: NotFound, also for one that expired, or of which a data set was made."""
    upload = await work.session.get(Upload, upload_id, populate_existing=True)
    if upload is None or upload.expires_at <= work.now:
        raise errors.NotFound("upload", upload_id)
    return upload


async def count_received(services: Services, upload: Upload) -> int:
    """Count the bytes that are there."""
    return await services.storage.size(upload.storage_key)


@dataclass
class _Writer:
    """Writes one piece: it holds the claim, and renews it as bytes come."""

    services: Services
    look: Look
    upload: Upload
    name: str
    renewed_at: datetime

    async def pass_on(self, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> AsyncIterator[bytes]:
        """Pass chunks on as long as the claim is ours. Raises: Overtaken; ChecksumMismatch, after the last one."""
        digest = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        while (chunk := await self._receive(chunks)) is not None:
            if digest is not None:
                digest.update(chunk)
            yield chunk
        if digest is not None and checksum is not None and digest.digest() != checksum.digest:
            said = f"Upload-Checksum says {checksum.digest.hex()}"
            raise errors.ChecksumMismatch(f"The piece has {checksum.algorithm} {digest.hexdigest()}; {said}.")

    async def _receive(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """Receive the next chunk; None after the last. However late it ends, it ends as Overtaken where it was."""
        try:
            return await anext(chunks, None)
        finally:
            if self.services.now - self.renewed_at > timedelta(seconds=RENEW_SECONDS):
                await self._renew()

    async def _renew(self) -> None:
        async with self.look() as work:
            is_ours = and_(Upload.id == self.upload.id, Upload.claimed_by == self.name, _is_open(work.now))
            until = work.now + timedelta(seconds=CLAIM_SECONDS)
            renewing = update(Upload).where(is_ours).values(claimed_until=until, expires_at=_next_end(work))
            renewed = await work.session.execute(renewing.returning(Upload.id))
            self.renewed_at = work.now
        if renewed.first() is None:
            raise Overtaken


def _refuse_busy(upload_id: str) -> errors.UploadBusy:
    return errors.UploadBusy(f"Another request writes to {upload_id}; ask how much is there in a moment, and go on.")


async def write_piece(
    services: Services,
    look: Look,
    upload_id: str,
    offset: int,
    chunks: AsyncIterator[bytes],
    checksum: Checksum | None,
) -> tuple[Upload, int]:
    """Write a piece of an upload from `offset` on; returns the upload and how many bytes of it are there then.

    What came of a piece that broke off stays, but for one with a checksum, which stays whole or not at all. No
    transaction is open while bytes come. Raises: NotFound, UploadBusy, ChunkMismatch, ChecksumMismatch, UploadTooLarge.
    """
    name = services.new_id("clm")
    async with look() as work:
        upload = await _claim(work, upload_id, name)
    try:
        received = await count_received(services, upload)
        if offset != received:
            raise _refuse_offset(offset, received)
        writer = _Writer(services, look, upload, name, services.now)
        written = await services.storage.append(
            upload.storage_key,
            offset,
            writer.pass_on(chunks, checksum),
            max_bytes=upload.size_bytes,
            is_whole=checksum is not None,
        )
    except Overtaken as error:
        raise _refuse_busy(upload_id) from error
    except OffsetMismatch as error:
        raise _refuse_offset(offset, error.size_bytes) from error
    except TooLarge as error:
        message = f"the piece goes beyond the {upload.size_bytes} bytes of Upload-Length"
        raise errors.UploadTooLarge(f"body: {message}", limit_bytes=upload.size_bytes) from error
    finally:
        async with look() as work:
            upload = await _release(work, upload, name)
    return upload, written


def _refuse_offset(offset: int, received: int) -> errors.ChunkMismatch:
    found = [errors.FieldError("Upload-Offset", f"go on from {received}")]
    message = f"Upload-Offset: is {offset}, but {received} bytes are there; go on from there"
    return errors.ChunkMismatch(message, errors=found, received_bytes=received)


async def _claim(work: Work, upload_id: str, name: str) -> Upload:
    """Claim an upload that nobody writes to. Raises: NotFound, UploadBusy."""
    await get_upload(work, upload_id)
    is_free = or_(Upload.claimed_until.is_(None), Upload.claimed_until < work.now)
    claiming = update(Upload).where(Upload.id == upload_id, is_free)
    until = work.now + timedelta(seconds=CLAIM_SECONDS)
    claimed = await work.session.execute(claiming.values(claimed_by=name, claimed_until=until).returning(Upload.id))
    if claimed.first() is None:
        raise _refuse_busy(upload_id)
    return await get_upload(work, upload_id)


async def _release(work: Work, upload: Upload, name: str) -> Upload:
    ours = update(Upload).where(Upload.id == upload.id, Upload.claimed_by == name)
    await work.session.execute(ours.values(claimed_by=None, claimed_until=None, expires_at=_next_end(work)))
    return await work.session.get(Upload, upload.id, populate_existing=True) or upload


async def delete_upload(work: Work, upload_id: str) -> str:
    """Delete an upload; returns where its bytes lie. Raises: NotFound, UploadBusy."""
    upload = await get_upload(work, upload_id)
    is_free = or_(Upload.claimed_until.is_(None), Upload.claimed_until < work.now)
    gone = await work.session.execute(delete(Upload).where(Upload.id == upload_id, is_free).returning(Upload.id))
    if gone.first() is None:
        await get_upload(work, upload_id)  # another request may have deleted it meanwhile
        raise _refuse_busy(upload_id)
    return upload.storage_key


async def get_whole(work: Work, customer_id: str, upload_ids: Sequence[str]) -> list[Upload]:
    """Get a customer's uploads, each of which is whole. Raises: NotFound, UploadBusy, UploadUnfinished, InvalidRequest.

    One that is being written to is not: what has come of it may yet be taken back.
    """
    if len(set(upload_ids)) < len(upload_ids):
        raise errors.invalid_field("upload_ids", "names an upload twice; name each once")
    uploads = [await get_upload(work, upload_id) for upload_id in upload_ids]
    for upload in uploads:
        if upload.customer_id != customer_id:
            raise errors.NotFound("upload", upload.id)
        if upload.claimed_until is not None and upload.claimed_until > work.now:
            raise _refuse_busy(upload.id)
        received = await work.storage.size(upload.storage_key)
        if received < upload.size_bytes:
            message = f"{upload.id} has {received} of its {upload.size_bytes} bytes; go on from there"
            raise errors.UploadUnfinished(message, received_bytes=received)
    return uploads


async def forget_expired(work: Work, *, before: datetime, limit: int) -> int:
    """Forget uploads that expired before a moment, so long ago that what came of them is swept."""
    chosen = select(Upload.id).where(Upload.expires_at <= before).limit(limit)
    gone = await work.session.execute(delete(Upload).where(Upload.id.in_(chosen)).returning(Upload.id))
    return len(gone.all())


async def withdraw_uploads(work: Work, customer_id: str) -> list[Upload]:
    """Let all open uploads of a customer expire at once, whoever writes to them; the next sweep takes their bytes."""
    theirs = update(Upload).where(Upload.customer_id == customer_id, _is_open(work.now))
    withdrawing = theirs.values(expires_at=work.now, claimed_by=None, claimed_until=None).returning(Upload)
    return list((await work.session.scalars(withdrawing, execution_options={"populate_existing": True})).all())


async def tell_kept(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys whether an upload is there, or has expired; keys of none are left out."""
    query = select(Upload.storage_key, _is_open(work.now)).where(Upload.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())
