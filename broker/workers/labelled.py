"""What a worker has made of a labelling: words for pictures, of which a new version of the data set is made."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker import errors
from broker.datasets import service as datasets
from broker.datasets.captions import read_captions
from broker.datasets.service import Dataset, ReceivedDataset
from broker.datasets.versions import Maker, Origin, find_made_by, keep_version, receive_version
from broker.jobs.events import record_event
from broker.jobs.running.locked_run import LockedRun, get_run
from broker.jobs.service import get_job
from broker.work import Services, Work
from broker.workers.uploads import lock_live_run
from pricing.datasets.caption_words import compose_caption, settle_caption
from pricing.training.label_config import LONGEST_CAPTION, LONGEST_NAME, LabelConfig, is_label_config

Told = TypeVar("Told", bound=BaseModel)
MAX_WORDS_BYTES = 64 * 1024 * 1024
MOST_PICTURES, LONGEST_WORDS = 1_000_000, 8_000


class LabelledPicture(BaseModel):
    """What the model says of a picture, and how many tokens it generated for that."""

    model_config = ConfigDict(extra="ignore")
    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    words: str = Field(max_length=LONGEST_WORDS)
    tokens: int = Field(ge=0)


class LabelledPictures(BaseModel):
    """What a worker hands in: each picture that was labelled, once."""

    model_config = ConfigDict(extra="ignore")
    pictures: list[LabelledPicture] = Field(min_length=1, max_length=MOST_PICTURES)


@dataclass(frozen=True)
class LabelOrder:
    """What a labelling is of; `made` is the version that an earlier run of the job has made already."""

    job_id: str
    config: LabelConfig
    dataset: Dataset
    made: Dataset | None


async def receive_words(chunks: AsyncIterator[bytes], sha256: str) -> Sequence[LabelledPicture]:
    """Read what a worker sends. Raises: UploadTooLarge, ChecksumMismatch, InvalidRequest."""
    return (await receive_json(LabelledPictures, chunks, sha256)).pictures


async def receive_json(shape: type[Told], chunks: AsyncIterator[bytes], sha256: str) -> Told:
    """Read a body of JSON in a shape. Raises: UploadTooLarge, ChecksumMismatch, InvalidRequest."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > MAX_WORDS_BYTES:
            raise errors.UploadTooLarge("body: is longer than what a run tells", limit_bytes=MAX_WORDS_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise errors.ChecksumMismatch(f"The body has SHA-256 {found}; X-Content-SHA256 says {sha256}.")
    try:
        return shape.model_validate_json(bytes(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise errors.invalid_field("body", f"{place}: {first['msg']}") from error


async def find_order(work: Work, run_id: str) -> LabelOrder:
    """Find what a run labels. Raises: NotFound; InvalidRequest, for a run that does not."""
    job = await get_job(work, (await get_run(work, run_id)).job_id)
    if not is_label_config(job.config):
        raise errors.invalid_field("run_id", "this run trains, and makes no captions")
    dataset = await datasets.get_dataset(work, job.dataset_id)
    return LabelOrder(job.id, LabelConfig.model_validate(job.config), dataset, await find_made_by(work, job.id))


async def receive_labelled(services: Services, order: LabelOrder, said: Sequence[LabelledPicture]) -> ReceivedDataset:
    """Store the data set with its new captions, in no transaction. Raises: InvalidRequest, DatasetUnusable."""
    style, conflict = order.config.style, order.config.conflict
    before = {each.name: each.caption for each in await read_captions(services.storage, order.dataset)}
    composed = {each.name: compose_caption(each.words, style)[:LONGEST_CAPTION].rstrip() for each in said}
    captions = {
        name: settle_caption(before.get(name, ""), caption, conflict, style) for name, caption in composed.items()
    }
    return await receive_version(services, order.dataset, captions)


async def keep_labelled(
    work: Work, run_id: str, fence_token: int, order: LabelOrder, received: ReceivedDataset | None, pictures: int
) -> Dataset:
    """Keep what a run has made; where an earlier run of its job had made it all, that stays, as this run's.

    Raises: NotFound, StaleFenceToken.
    """
    locked = await lock_live_run(work, run_id, fence_token)
    made = await find_made_by(work, order.job_id)  # also by the same request, sent again before the first was answered
    if made is not None:
        made.run_id = run_id
        return made
    assert received is not None, "what no run has made yet was received"
    kept = await keep_version(work, order.dataset, received, Maker(Origin.AUTO_LABEL, order.job_id, run_id))
    _tell(work, locked, kept, pictures)
    return kept


def _tell(work: Work, locked: LockedRun, kept: Dataset, pictures: int) -> None:
    facts = {"run_id": locked.run.id, "dataset_id": kept.id, "version": kept.version, "pictures": pictures}
    record_event(work, locked.job, "captions_kept", facts)
