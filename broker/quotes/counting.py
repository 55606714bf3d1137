"""From a data set to the work of any configuration on it: counted once by content, planned anew for each."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from broker import errors
from broker.datasets import service as datasets
from broker.datasets.tables import Dataset
from broker.quotes.model import plan_text
from broker.quotes.pictures import CountedPictures, count_pictures, plan_counted_pictures
from broker.quotes.tokens import RowLength, count_row_lengths
from broker.work import Work
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.training_config import TrainingConfig
from pricing.estimate.workload import Workload

Counted = tuple[RowLength, ...] | CountedPictures
PlanWork = Callable[[TrainingConfig], Workload]


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


async def count_dataset(work: Work, dataset: Dataset, profile: BaseModelProfile) -> PlanWork:
    """What plans the work of a configuration on this data set; it raises InvalidTrainingConfig where none can be done.

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
    return _plan_with(counted, profile)


async def _count(work: Work, dataset: Dataset, profile: BaseModelProfile) -> Counted:
    if profile.is_text:
        rows = await datasets.read_rows(work, dataset)
        return await asyncio.to_thread(count_row_lengths, rows, profile)
    pictures = await datasets.read_pictures(work, dataset)
    return await asyncio.to_thread(count_pictures, pictures, profile)


def _plan_with(counted: Counted, profile: BaseModelProfile) -> PlanWork:
    if isinstance(counted, CountedPictures):
        return lambda config: plan_counted_pictures(counted, profile, config)
    return lambda config: plan_text(counted, config)
