"""Versions of a data set: the same pictures with other captions, kept as a data set of its own that names its parent.

A version is numbered among all that go back to the same upload, which is the first.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ARRAY, Text, any_, bindparam, func, or_, select

from broker.datasets.archive import DataFile, UploadedFile, open_packed, read_file
from broker.datasets.caption_files import write_captions
from broker.datasets.service import ReceivedDataset, keep_dataset, receive_upload
from broker.datasets.tables import Dataset
from broker.persistence.driver import Command, Statement
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
    """Store the files of a data set with these captions, by their pictures' names, in no transaction.

    Raises: InvalidRequest, DatasetUnusable.
    """
    with ExitStack() as opened:
        async with services.storage.borrow(parent.storage_key) as packed:
            files = await asyncio.to_thread(opened.enter_context, open_packed(packed))
            changed = await asyncio.to_thread(_caption_files, files, captions)
            return await receive_upload(services, parent.customer_id, changed)


def _caption_files(files: Sequence[DataFile], captions: Mapping[str, str]) -> list[DataFile]:
    named: dict[str, DataFile] = {file.name: file for file in files}
    written = write_captions(list(named), lambda name: read_file(named[name]), captions)
    named |= {name: UploadedFile(name, content) for name, content in written.items()}
    return [named[name] for name in sorted(named)]


async def keep_version(work: Work, parent: Dataset, received: ReceivedDataset, maker: Maker) -> Dataset:
    """Keep what was received as the next version of its parent."""
    root = parent.root_id or parent.id
    version = await _next_version(work, root)
    kept = await keep_dataset(work, parent.customer_id, parent.name, received)
    kept.root_id, kept.parent_id, kept.version = root, parent.id, version
    kept.origin, kept.job_id, kept.run_id = maker.origin.value, maker.job_id, maker.run_id
    await work.session.flush()
    return kept


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
