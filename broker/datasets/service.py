"""Data sets: taken in, checked, kept, and read again for quotes and runs."""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, bindparam, func, select, union_all

from broker import errors
from broker.config import Settings
from broker.datasets.archive import (
    ArchiveRefused,
    DataFile,
    PackedTar,
    open_packed,
    pack_files,
    unpack_uploads,
)
from broker.datasets.findings import DatasetFinding, FindingReport
from broker.datasets.pictures import holds_pictures, parse_pictures, report_on_pictures
from broker.datasets.room import take_room
from broker.datasets.stored_tar import StoredTar
from broker.datasets.tables import Dataset
from broker.persistence.database import narrow
from broker.persistence.driver import Command, Row, RowFormat, Statement, require
from broker.persistence.folder_storage import open_private
from broker.persistence.storage import StoredObject
from broker.persistence.tenancy import is_seen, owns
from broker.work import Services, Work
from pricing.datasets.file_names import is_left_aside
from pricing.datasets.finding_level import Level
from pricing.datasets.picture_listing import SIDECAR_SUFFIXES
from pricing.datasets.row_counts import RowCounts, RowTally
from pricing.datasets.text_rows import TEXT_SUFFIXES, TextRow, TooManyRows, iter_text_files

__all__ = [
    "Dataset",
    "KeptDataset",
    "find_dataset",
    "get_dataset",
    "keep_dataset",
    "keep_from_deletion",
    "lock_for_deletion",
    "read_dataset",
    "read_kept",
    "receive_upload",
    "require_kept",
    "select_dataset",
    "select_datasets",
    "tell_hashes",
    "tell_kept",
]

LONGEST_MESSAGE = 500
# What is read into memory whole, since its encoding and its rows are told by all of it.
READ_WHOLE = tuple(suffix for suffix in TEXT_SUFFIXES if suffix != ".parquet")
MOST_TEXT_BYTES = 256 * 1024 * 1024
DATASETS = RowFormat(Dataset)
PLACE = ("storage_key", "base_key", "own_bytes", "own_sha256")


@dataclass(frozen=True)
class CheckedUpload:
    """A packed upload and its report; `usable` counts the rows of text, or the pictures, that training can read.

    `files` are the names and the sizes of what it consists of.
    """

    files: list[tuple[str, int]]
    usable: int
    report: FindingReport
    counts: RowCounts


@dataclass
class ReceivedDataset:
    """An upload that was checked and stored, and is no data set of the database's yet.

    `sha256` is of its tar, `stored` the object that it has of its own. `is_used`: whether a data set has what was
    stored for it, and not the same bytes that were there before.
    """

    id: str
    checked: CheckedUpload
    tar: StoredTar
    sha256: str
    stored: StoredObject
    is_used: bool = False


async def receive_upload(services: Services, customer_id: str, uploads: Sequence[DataFile]) -> ReceivedDataset:
    """Unpack, check and store an upload, in no transaction. Raises: DatasetUnusable."""
    scratch = services.storage.scratch / f".{secrets.token_hex(8)}"
    try:
        with told_of_files():
            checked, packed = await asyncio.to_thread(_pack_upload, uploads, scratch, services.settings)
        require_usable_rows(checked)
        dataset_id = services.new_id("dat")
        key = f"datasets/{customer_id}/{dataset_id}.tar"
        await services.storage.adopt(key, scratch)
    finally:
        await asyncio.to_thread(scratch.unlink, missing_ok=True)
    stored = StoredObject(key, packed.size_bytes, packed.sha256)
    return ReceivedDataset(dataset_id, checked, StoredTar(key, packed.size_bytes), packed.sha256, stored)


@contextmanager
def told_of_files() -> Iterator[None]:
    """Tell what is wrong with files as a refusal. Raises: DatasetUnusable."""
    try:
        yield
    except ArchiveRefused as error:
        raise _refuse_files(str(error)) from error
    except TooManyRows as error:
        cure = "split it, or have the operator raise BROKER_MAX_DATASET_ROWS"
        raise _refuse_files(f"the data set has more than {error.limit} rows; {cure}") from error


async def keep_dataset(
    work: Work, customer_id: str, name: str, received: ReceivedDataset, *, is_limited: bool = True
) -> Dataset:
    """Keep an upload that was received as a data set of the customer; the same bytes are kept once for all of them.

    Raises: StorageLimitReached, where the customer's storage is limited, and has no room for what is new.
    """
    checked = received.checked
    twin = await _find_twin(work, customer_id, received.sha256)
    received.is_used = twin is None
    if twin is None and is_limited:
        await take_room(work, customer_id, received.stored.size_bytes, "files")
    place = _place(received) if twin is None else {name: getattr(twin, name) for name in PLACE}
    dataset = Dataset(
        id=received.id,
        customer_id=customer_id,
        name=name,
        sha256=received.sha256,
        size_bytes=received.tar.size_bytes,
        **place,
        files=[{"name": name, "size_bytes": size_bytes} for name, size_bytes in checked.files],
        usable_rows=checked.usable,
        findings=[write_finding(finding) for finding in checked.report.first],
        finding_counts=checked.report.counts,
        row_counts=_clean(checked.counts.to_json()),
        created_at=work.now,
    )
    work.session.add(dataset)
    await work.session.flush()
    return dataset


def _place(received: ReceivedDataset) -> dict[str, Any]:
    """Tell where what was received lies, as columns. Pure."""
    own, base_key = received.stored, received.tar.base_key
    told = (None, None, None) if base_key is None else (base_key, own.size_bytes, own.sha256)
    return dict(zip(PLACE, (own.key, *told), strict=True))


async def _find_twin(work: Work, customer_id: str, sha256: str) -> Dataset | None:
    """Find a data set of a customer that has the same bytes; None where there is none.

    Whoever keeps the same bytes takes turns here. What is found is not deleted before this transaction ends, and once
    it has another data set more, not before that is deleted, too.
    """
    turn = func.pg_advisory_xact_lock(func.hashtext(f"content:{customer_id}:{sha256}"))
    await work.session.execute(select(turn))
    query = select(Dataset).where(
        Dataset.customer_id == customer_id, Dataset.sha256 == sha256, Dataset.deleted_at.is_(None)
    )
    twin: Dataset | None = await work.session.scalar(query.limit(1).with_for_update(read=True, key_share=True))
    return twin


def _refuse_files(message: str) -> errors.DatasetUnusable:
    return errors.DatasetUnusable(message, errors=[errors.FieldError("files", message)])


def _pack_upload(uploads: Sequence[DataFile], target: Path, settings: Settings) -> tuple[CheckedUpload, PackedTar]:
    """Unpack an upload, pack it into a file and judge it. Slow: called in a thread.

    Raises: ArchiveRefused, TooManyRows; OSError, where the disk is full.
    """
    notes = list[DatasetFinding]()
    unpacked = unpack_uploads(uploads, max_bytes=settings.max_dataset_bytes, notes=notes, scratch=target.parent)
    with unpacked as files, open_private(target) as file:
        require_readable(files)
        packed = pack_files(files, file)
    with open_packed(lambda: target.open("rb")) as files:
        return check_files(files, notes, settings.max_dataset_rows), packed


def require_readable(files: Iterable[DataFile]) -> None:
    """Require that each file of text can be read into memory. Raises: ArchiveRefused."""
    for file in files:
        is_text = file.name.lower().endswith((*READ_WHOLE, *SIDECAR_SUFFIXES))
        if is_text and file.size_bytes > MOST_TEXT_BYTES:
            raise ArchiveRefused(f"{file.name} has more than {MOST_TEXT_BYTES >> 20} MiB; split it into several files")


def check_files(files: list[DataFile], notes: list[DatasetFinding], max_rows: int) -> CheckedUpload:
    """Judge the files of a data set. Raises: TooManyRows."""
    report = FindingReport()
    report.extend(notes)
    told = [(file.name, file.size_bytes) for file in files]
    if holds_pictures(file.name for file in files):
        pictures = parse_pictures(files, max_rows=max_rows)
        report.extend(report_on_pictures(pictures))
        return CheckedUpload(told, len(pictures.pictures), report, pictures.counts)
    tally = RowTally()
    for row in iter_text_files(((file.name, file.open) for file in files), max_rows=max_rows):
        if isinstance(row, TextRow):
            tally.usable += 1
        else:
            tally.add_finding(row)
            report.add(DatasetFinding(row.file, row.line, row.level, row.message))
    if tally.usable:
        report.extend(_tell_unread(file.name for file in files))
    return CheckedUpload(told, tally.usable, report, tally.sum_up())


def _tell_unread(names: Iterable[str]) -> Iterator[DatasetFinding]:
    """Tell of files in which somebody may keep rows, and which are no file of rows that is read."""
    for name in names:
        if not name.lower().endswith(TEXT_SUFFIXES) and not is_left_aside(name):
            message = f"is not read; save its rows as {', '.join(TEXT_SUFFIXES)}, or leave it out"
            yield DatasetFinding(name, None, Level.WARNING, message)


def _clean(counts: dict[str, Any]) -> dict[str, Any]:
    """Replace in reasons, which may quote the data, what the database cannot keep."""
    return counts | {"refused": [[reason.replace("\0", "\ufffd"), rows] for reason, rows in counts["refused"]]}


def write_finding(finding: DatasetFinding) -> dict[str, Any]:
    """Write a finding as JSON; its text comes from the data and may be long, or hold what the database cannot keep."""
    message = finding.message.replace("\0", "\ufffd")
    return {**asdict(finding), "message": message[:LONGEST_MESSAGE]}


def require_usable_rows(checked: CheckedUpload) -> None:
    """Require that there is something to train on. Raises: DatasetUnusable."""
    if checked.usable:
        return
    findings = [
        errors.FieldError(f"files.{found.place}", found.message) for found in checked.report.first if found.file
    ]
    raise errors.DatasetUnusable(
        "The data set has no usable row or picture; send .jsonl or .csv files whose rows have prompt and completion, "
        "or pictures with captions.",
        errors=findings[:20] or [errors.FieldError("files", "no .jsonl or .csv file with a row in it, no picture")],
    )


def select_dataset(dataset_id: ColumnElement[str], customer_id: ColumnElement[str | None]) -> Select[Dataset]:
    """Select one data set of this customer, as part of a larger statement; see `read_dataset`."""
    return select(Dataset).where(
        Dataset.id == dataset_id, Dataset.deleted_at.is_(None), owns(Dataset.__table__.c.customer_id, customer_id)
    )


def read_dataset(values: Row) -> Dataset:
    """Read the data set from the columns of `select_dataset`; it belongs to no session."""
    return DATASETS.read(values)


def select_datasets(**wanted: str | None) -> Select[Dataset]:
    """Select the data sets that the actor sees, all or those with these values in their columns."""
    return narrow(select(Dataset).where(Dataset.deleted_at.is_(None)), **wanted)


async def find_dataset(work: Work, dataset_id: str) -> Dataset | None:
    """Find a data set that the actor sees; None where there is none, or it was deleted."""
    dataset = await work.session.get(Dataset, dataset_id)
    return None if dataset is None or dataset.deleted_at is not None else dataset


async def get_dataset(work: Work, dataset_id: str) -> Dataset:
    """Get a data set. Raises: NotFound, also for one that was deleted."""
    dataset = await find_dataset(work, dataset_id)
    if dataset is None:
        raise errors.NotFound("dataset", dataset_id)
    return dataset


@dataclass(frozen=True)
class KeptDataset:
    """A data set that is not deleted before this transaction ends: whose it is, and the hash of its bytes."""

    customer_id: str
    sha256: str


NAMED = bindparam("ids", type_=ARRAY(Text))
KEPT = (
    select(Dataset.id, Dataset.customer_id, Dataset.sha256)
    .where(Dataset.id == any_(NAMED), Dataset.deleted_at.is_(None))
    .where(is_seen(Dataset.customer_id))
    .order_by(Dataset.id)
    .with_for_update(read=True, key_share=True)
)
KEEP = Statement(KEPT)
REQUIRE_KEPT = require(select(func.count()).select_from(KEPT.subquery()).scalar_subquery() == func.cardinality(NAMED))


def keep_from_deletion(dataset_ids: Collection[str], *, seen_by: Collection[str] | None) -> Command:
    """Make the command that keeps data sets from being deleted until its transaction ends; see `read_kept`."""
    return Command(KEEP, {"ids": sorted(dataset_ids), "seen_by": seen_by})


def require_kept(dataset_ids: Collection[str], *, seen_by: Collection[str] | None) -> Command:
    """Make the command that keeps remembered data sets from being deleted, and ends its message where one is."""
    return Command(REQUIRE_KEPT, {"ids": sorted(dataset_ids), "seen_by": seen_by})


def read_kept(rows: Sequence[Row]) -> dict[str, KeptDataset]:
    """Read which data sets are kept, by their ids; one that is deleted, or another tenant's, is not among them."""
    return {dataset_id: KeptDataset(customer_id, sha256) for dataset_id, customer_id, sha256 in rows}


async def lock_for_deletion(work: Work, dataset_id: str) -> Dataset:
    """Lock a data set that is to be deleted; who takes it for a job waits, or is waited for. Raises: NotFound."""
    dataset = await work.session.get(Dataset, dataset_id, with_for_update=True, populate_existing=True)
    if dataset is None or dataset.deleted_at is not None:
        raise errors.NotFound("dataset", dataset_id)
    return dataset


async def list_kept_of(work: Work, customer_id: str) -> list[tuple[str, int]]:
    """List the data sets that are kept for a customer, with their sizes in bytes."""
    query = select(Dataset.id, Dataset.size_bytes).where(
        Dataset.customer_id == customer_id, Dataset.deleted_at.is_(None)
    )
    return [
        (dataset_id, size_bytes) for dataset_id, size_bytes in await work.session.execute(query.order_by(Dataset.id))
    ]


async def tell_kept(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys whether a data set needs what is there, or all that did were deleted; others are left out.

    A version needs what it has of its own, and the upload whose pictures it shares.
    """
    named = [
        select(key.label("key"), Dataset.deleted_at.is_(None).label("is_kept")).where(key.in_(keys))
        for key in (Dataset.storage_key, Dataset.base_key)
    ]
    needs = union_all(*named).subquery()
    query = select(needs.c.key, func.bool_or(needs.c.is_kept)).group_by(needs.c.key)
    return dict((await work.session.execute(query)).all())


async def tell_hashes(work: Work, keys: Sequence[str]) -> dict[str, str]:
    """Tell the SHA-256, hex, of what lies under storage keys."""
    sha256 = func.coalesce(Dataset.own_sha256, Dataset.sha256)
    query = select(Dataset.storage_key, sha256).where(Dataset.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())
