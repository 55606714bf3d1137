"""The work of a configuration on a data set: counted once for each content, planned anew for each configuration."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass

from cachetools import LRUCache

from broker import errors
from broker.base_models.tokenizers import load_tokenizer
from broker.datasets import service as datasets
from broker.datasets.service import Dataset
from broker.quotes.configuration import JobConfiguration
from broker.quotes.pictures import CountedPictures, count_pictures, plan_counted_pictures
from broker.quotes.text import RowLength, count_row_lengths, plan_text
from broker.work import Work
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_format import TextFormat
from pricing.training.workload import Workload

Counted = tuple[RowLength, ...] | CountedPictures
# What the count of a data set depends on but for its content: tokenizer, text format, context length.
Reading = tuple[str | None, TextFormat | None, int]
# A thread costs as much time as some hundred rows of text take to plan.
ROWS_PLANNED_AT_ONCE = 200
# Counts of the data sets last quoted, by content and tokenizer: quoting again after a change is quick.
COUNTS: MutableMapping[tuple[str, Reading], Counted] = LRUCache(256)


@dataclass(frozen=True)
class PlannedJob:
    """A configuration and the work that it does on one data set."""

    configuration: JobConfiguration
    workload: Workload


@dataclass(frozen=True)
class CountedDataset:
    """A data set as one base model reads it."""

    counted: Counted

    def plan(self, configuration: JobConfiguration) -> PlannedJob:
        """Plan the work of a configuration of that base model. Raises: InvalidTrainingConfig, where there is none."""
        if isinstance(self.counted, CountedPictures):
            workload = plan_counted_pictures(self.counted, configuration.profile, configuration.config)
        else:
            workload = plan_text(self.counted, configuration.config)
        return PlannedJob(configuration, workload)

    async def plan_aside(self, configuration: JobConfiguration) -> PlannedJob:
        """Plan the same in a thread where it may take long: other requests go on. Raises: InvalidTrainingConfig."""
        if isinstance(self.counted, tuple) and len(self.counted) <= ROWS_PLANNED_AT_ONCE:
            return self.plan(configuration)
        return await asyncio.to_thread(self.plan, configuration)


async def count_dataset(work: Work, dataset: Dataset, profile: BaseModelProfile) -> CountedDataset:
    """Count a data set for this base model.

    Raises: InvalidRequest, for pictures where the base model learns from text, or the other way round.
    """
    if (dataset.kind == "text") != profile.is_text:
        has, wants = ("pictures", "text") if profile.is_text else ("text", "pictures")
        message = f"it holds {has}, and {profile.name} learns from {wants}; name a data set of {wants}"
        raise errors.invalid_field("dataset_id", message)
    key = (dataset.sha256, (profile.tokenizer, profile.text_format, profile.context_length))
    counted = COUNTS.get(key)
    if counted is None:
        counted = COUNTS[key] = await _count(work, dataset, profile)
    return CountedDataset(counted)


async def _count(work: Work, dataset: Dataset, profile: BaseModelProfile) -> Counted:
    if profile.is_text:
        tokenizer = await load_tokenizer(work, profile)
        rows = await datasets.read_rows(work, dataset)
        return await asyncio.to_thread(count_row_lengths, rows, profile, tokenizer)
    pictures = await datasets.read_pictures(work, dataset)
    return await asyncio.to_thread(count_pictures, pictures, profile)
