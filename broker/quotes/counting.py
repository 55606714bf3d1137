"""From a data set to the work of any configuration on it: counted once by content, planned anew for each."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from broker import errors
from broker.datasets import service as datasets
from broker.datasets.tables import Dataset
from broker.quotes.model import plan_text
from broker.quotes.pictures import CountedPictures, count_pictures, plan_counted_pictures
from broker.quotes.tokens import RowLength, count_row_lengths
from broker.work import Work
from pricing.catalog.profile import BaseModelProfile
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

Counted = tuple[RowLength, ...] | CountedPictures
# A thread costs as much time as some hundred rows of text take to plan.
ROWS_PLANNED_AT_ONCE = 200


@dataclass
class CountCache:
    """Counts of the data sets last quoted, by content and tokenizer: re-quoting after a change is quick."""

    capacity: int = 256
    entries: OrderedDict[tuple[str, str], Counted] = field(default_factory=OrderedDict)

    def find(self, key: tuple[str, str]) -> Counted | None:
        counted = self.entries.get(key)
        if counted is not None:
            self.entries.move_to_end(key)
        return counted

    def keep(self, key: tuple[str, str], counted: Counted) -> None:
        self.entries[key] = counted
        while len(self.entries) > self.capacity:
            self.entries.popitem(last=False)


COUNTS = CountCache()


@dataclass(frozen=True)
class CountedDataset:
    """A data set as a base model reads it."""

    counted: Counted
    profile: BaseModelProfile

    def plan(self, config: TrainingConfig) -> Workload:
        """The work of a configuration on it. Raises: InvalidTrainingConfig, where none can be done."""
        if isinstance(self.counted, CountedPictures):
            return plan_counted_pictures(self.counted, self.profile, config)
        return plan_text(self.counted, config)

    async def plan_aside(self, config: TrainingConfig) -> Workload:
        """The same; what may take long in a thread, so that other requests go on. Raises: InvalidTrainingConfig."""
        if isinstance(self.counted, tuple) and len(self.counted) <= ROWS_PLANNED_AT_ONCE:
            return self.plan(config)
        return await asyncio.to_thread(self.plan, config)


async def count_dataset(work: Work, dataset: Dataset, profile: BaseModelProfile) -> CountedDataset:
    """The data set, counted for this base model.

    Raises: InvalidRequest, for pictures where the base model learns from text, or the other way round.
    """
    if (dataset.kind == "text") != profile.is_text:
        has, wants = ("pictures", "text") if profile.is_text else ("text", "pictures")
        message = f"it holds {has}, and {profile.name} learns from {wants}; name a data set of {wants}"
        raise errors.invalid_field("dataset_id", message)
    key = (dataset.sha256, profile.name)
    counted = COUNTS.find(key)
    if counted is None:
        counted = await _count(work, dataset, profile)
        COUNTS.keep(key, counted)
    return CountedDataset(counted, profile)


async def _count(work: Work, dataset: Dataset, profile: BaseModelProfile) -> Counted:
    if profile.is_text:
        rows = await datasets.read_rows(work, dataset)
        return await asyncio.to_thread(count_row_lengths, rows, profile)
    pictures = await datasets.read_pictures(work, dataset)
    return await asyncio.to_thread(count_pictures, pictures, profile)
