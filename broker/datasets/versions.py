"""Versions of a data set: the same pictures with other captions, a data set of its own that names its parent.

A version is numbered among all that go back to the same upload, which is the first.
"""

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import ARRAY, Text, any_, bindparam, func, or_, select

from broker import errors
from broker.datasets.archive import DataFile, UploadedFile, open_packed, read_file
from broker.datasets.caption_files import write_captions
from broker.datasets.service import (
    CheckedUpload,
    ReceivedDataset,
    check_files,
    keep_dataset,
    require_readable,
    require_usable_rows,
    told_of_files,
)
from broker.datasets.sharing import SharedTar, share_tar
from broker.datasets.stored_tar import Opener, Span, StoredTar
from broker.datasets.tables import Dataset
from broker.persistence.driver import Command, Statement
from broker.persistence.folder_storage import open_private
from broker.persistence.storage import StoredObject
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Services, Work, list_seen, run_for_all

MAKERS = Statement(
    select(Dataset.run_id).where(
        Dataset.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))), is_seen(Dataset.customer_id)
    )
)


class Origin(StrEnum):
    """How a data set came about: sent by its customer, labelled by a job, or edited."""

    UPLOAD = "upload"
    AUTO_LABEL = "auto_label"
    EDIT = "edit"


@dataclass(frozen=True)
class Maker:
    """What makes a version: an edit, or a job's run."""

    origin: Origin
    job_id: str | None = None
    run_id: str | None = None


async def receive_version(services: Services, parent: Dataset, captions: Mapping[str, str]) -> ReceivedDataset:
    """Store what a data set has of its own with these captions, by their pictures' names, in no transaction.

    The pictures stay where they are. Raises: InvalidRequest, DatasetUnusable.
    """
    storage, dataset_id = services.storage, services.new_id("dat")
    scratch = storage.scratch / f".{secrets.token_hex(8)}"
    own_key = f"datasets/{parent.customer_id}/{dataset_id}.captions"
    try:
        async with parent.tar.borrow(storage) as packed:
            spans, most = await parent.tar.read_spans(storage), services.settings.max_dataset_rows
            with told_of_files():
                checked, shared = await asyncio.to_thread(_make_version, packed, spans, captions, scratch, most)
        require_usable_rows(checked)
        await storage.adopt(own_key, scratch)
    finally:
        await asyncio.to_thread(scratch.unlink, missing_ok=True)
    tar = StoredTar(own_key, shared.size_bytes, parent.tar.base_key or parent.tar.key)
    stored = StoredObject(own_key, shared.own_bytes, shared.own_sha256)
    return ReceivedDataset(dataset_id, checked, tar, shared.sha256, stored)


def _make_version(
    packed: Opener, spans: Sequence[Span], captions: Mapping[str, str], target: Path, max_rows: int
) -> tuple[CheckedUpload, SharedTar]:
    """Write what a version has of its own, and judge the whole of it. Slow: called in a thread.

    Raises: InvalidRequest, ArchiveRefused, TooManyRows; OSError, where the disk is full.
    """
    with open_packed(packed) as files:
        named: dict[str, DataFile] = {file.name: file for file in files}
        written = write_captions(list(named), lambda name: read_file(named[name]), captions)
        named |= {name: UploadedFile(name, content) for name, content in written.items()}
        whole = [named[name] for name in sorted(named)]
        require_readable(whole)
        checked = check_files(whole, [], max_rows)
    with open_private(target) as file:
        return checked, share_tar(packed, spans, written, file)


async def keep_version(work: Work, parent: Dataset, received: ReceivedDataset, maker: Maker) -> Dataset:
    """Keep what was received as the next version of its parent, which is not deleted meanwhile. Raises: NotFound."""
    await _require_kept(work, parent)
    root = parent.root_id or parent.id
    version = await _next_version(work, root)
    is_limited = maker.job_id is None  # what a job has made was paid for
    kept = await keep_dataset(work, parent.customer_id, parent.name, received, is_limited=is_limited)
    kept.root_id, kept.parent_id, kept.version = root, parent.id, version
    kept.origin, kept.job_id, kept.run_id = maker.origin.value, maker.job_id, maker.run_id
    await work.session.flush()
    return kept


async def _require_kept(work: Work, parent: Dataset) -> None:
    """Require that a data set is there, and stays until this transaction ends, and with it the pictures of its base."""
    query = select(Dataset.id).where(Dataset.id == parent.id, Dataset.deleted_at.is_(None))
    if await work.session.scalar(query.with_for_update(read=True, key_share=True)) is None:
        raise errors.NotFound("dataset", parent.id)


async def _next_version(work: Work, root: str) -> int:
    """Find the next version. Edits that come at once take turns here, so that no number is given twice."""
    await work.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"dataset:{root}"))))
    of_root = or_(Dataset.id == root, Dataset.root_id == root)
    return (await work.session.scalar(select(func.max(Dataset.version)).where(of_root)) or 0) + 1


async def find_made_by(work: Work, job_id: str) -> Dataset | None:
    """Find the version that a job has made; None where it has made none."""
    return (await work.session.scalars(select(Dataset).where(Dataset.job_id == job_id))).one_or_none()


async def list_makers(works: Collection[Work], job_ids: Collection[str]) -> set[str]:
    """List the runs that made the versions of these jobs, asked by units of work of one transaction."""
    asked = {"job_ids": list(job_ids), SEEN_BY.key: list_seen(works)}
    (found,) = await run_for_all(works, [Command(MAKERS, asked)])
    return {run_id for (run_id,) in found}
