"""The counted work of a configuration on a data set: read as it was counted, planned anew for each configuration.

Nothing is counted here, where a transaction is open: `count_needs` sees to that before, `token_counter` beside.
"""

import asyncio
import hashlib
import json
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

from cachetools import LRUCache

from broker import errors
from broker.datasets import token_counts
from broker.datasets.service import Dataset
from broker.datasets.token_counts import CountKey, TokenCount
from broker.quotes.checking.configuration import JobConfiguration
from broker.quotes.counts.count_aside import Counted
from broker.quotes.counts.pictures import CountedPictures, plan_counted_pictures, unpack_pictures
from broker.quotes.counts.row_lengths import RowLengths, unpack_lengths
from broker.quotes.counts.text import plan_text
from broker.work import Work
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_format import TextFormat
from pricing.training.workload import Workload

# A thread costs as much time as some hundred rows of text take to plan.
ROWS_PLANNED_AT_ONCE = 200
CACHE_BYTES = 64 * 1024 * 1024
# Counts of the data sets last quoted, by content and tokenizer, in bytes: quoting again after a change is quick.
COUNTS: MutableMapping[tuple[str, str], Counted] = LRUCache(CACHE_BYTES, getsizeof=lambda counted: counted.size_bytes)
# Raised when rows come to be counted otherwise: what was counted before is then counted anew.
COUNTING_VERSION = 3
ROWS_A_SECOND = 10_000  # on one busy core, for the advice when to ask again
LONGEST_ADVICE_SECONDS = 60


@dataclass(frozen=True)
class PlannedJob:
    """A configuration and the work that it does on one data set.

    Of its usable rows `too_long` have nothing to learn, and of those that are trained `cut` lose their end; `bare`
    pictures have no caption.
    """

    configuration: JobConfiguration
    workload: Workload
    too_long: int = 0
    cut: int = 0
    bare: int = 0


@dataclass(frozen=True)
class CountedDataset:
    """A data set as one base model reads it."""

    counted: Counted

    def plan(self, configuration: JobConfiguration) -> PlannedJob:
        """Plan the work of a configuration of that base model. Raises: InvalidTrainingConfig, where there is none."""
        profile, config = configuration.profile, configuration.config
        if isinstance(self.counted, CountedPictures):
            workload = plan_counted_pictures(self.counted, profile, config)
            bare = self.counted.count_bare(config.default_caption)
            cut = self.counted.count_cut(config.default_caption, profile)
            return PlannedJob(configuration, workload, cut=cut, bare=bare)
        learnable = self.counted.list_learnable(config.max_length)
        return PlannedJob(
            configuration,
            plan_text(self.counted, config),
            too_long=len(self.counted) - len(learnable),
            cut=self.counted.count_cut(learnable, config.max_length),
        )

    async def plan_aside(self, configuration: JobConfiguration) -> PlannedJob:
        """Plan the same in a thread where it may take long: other requests go on. Raises: InvalidTrainingConfig."""
        if isinstance(self.counted, RowLengths) and len(self.counted) <= ROWS_PLANNED_AT_ONCE:
            return self.plan(configuration)
        return await asyncio.to_thread(self.plan, configuration)


def name_tokenizer(profile: BaseModelProfile) -> str:
    """Name what a count depends on but for the data: tokenizer, text format and context length, as one hash."""
    return _hash_reading(profile.tokenizer, profile.text_format, profile.context_length)


@lru_cache(maxsize=256)
def _hash_reading(tokenizer: str | None, text_format: TextFormat | None, context_length: int) -> str:
    written = [COUNTING_VERSION, tokenizer, asdict(text_format) if text_format else None, context_length]
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()


def fits(dataset: Dataset, profile: BaseModelProfile) -> bool:
    """Tell whether the base model learns from what the data set holds: text or pictures."""
    return (dataset.kind == "text") == profile.is_text


def check_kind(dataset: Dataset, profile: BaseModelProfile) -> None:
    """Check that the base model learns from what the data set holds. Raises: InvalidRequest."""
    if not fits(dataset, profile):
        has, wants = ("pictures", "text") if profile.is_text else ("text", "pictures")
        message = f"it holds {has}, and {profile.name} learns from {wants}; name a data set of {wants}"
        raise errors.invalid_field("dataset_id", message)


async def read_counted(work: Work, dataset: Dataset, profile: BaseModelProfile) -> CountedDataset:
    """Read a data set as it was counted for a base model that learns from what it holds.

    Raises: TokensBeingCounted, where it is not counted yet; DatasetUnusable, where it could not be.
    """
    tokenizer = name_tokenizer(profile)
    counted = COUNTS.get((dataset.sha256, tokenizer))
    if counted is None:
        counted = await _read(work, dataset, tokenizer)
    return CountedDataset(counted)


async def _read(work: Work, dataset: Dataset, tokenizer: str) -> Counted:
    key = CountKey(dataset.id, tokenizer)
    count = await token_counts.find_count(work, key)
    if count is None or count.counted_at is None:
        raise _explain_absence(dataset, count)
    parts = await token_counts.read_parts(work, key)
    counted = await asyncio.to_thread(_unpack, dataset.kind, parts)
    remember(dataset, tokenizer, counted)
    return counted


def _unpack(kind: str, parts: Sequence[bytes]) -> Counted:
    return unpack_lengths(parts) if kind == "text" else unpack_pictures(parts)


def remember(dataset: Dataset, tokenizer: str, counted: Counted) -> None:
    """Keep a count in memory, in the place of others; one that is larger than all the room there is stays outside."""
    if counted.size_bytes <= CACHE_BYTES:
        COUNTS[dataset.sha256, tokenizer] = counted


def _explain_absence(dataset: Dataset, count: TokenCount | None) -> errors.DomainError:
    if count is not None and count.error is not None:
        message = f"its tokens cannot be counted: {count.error}"
        return errors.DatasetUnusable(f"{dataset.id}: {message}", errors=[errors.FieldError("dataset_id", message)])
    counted = count.counted if count is not None else 0
    seconds = min(LONGEST_ADVICE_SECONDS, 1 + (dataset.usable_rows - counted) // ROWS_A_SECOND)
    return errors.TokensBeingCounted(
        f"The tokens of {dataset.id} are being counted: {counted} of {dataset.usable_rows} rows. "
        f"Ask again in {seconds} s; GET /v1/datasets/{dataset.id} shows how far it is.",
        dataset_id=dataset.id,
        rows=dataset.usable_rows,
        counted_rows=counted,
        retry_after_seconds=seconds,
    )
