"""What a quote needs counted, seen to before its transaction begins: small data at once, large data by the counter.

Small data is remembered, not kept: counting it again takes no longer than reading what would be kept of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from tokenizers import Tokenizer

from broker.base_models import service as base_models
from broker.base_models.tokenizers import load_tokenizer
from broker.datasets import service as datasets
from broker.datasets import token_counts
from broker.datasets.captions import read_captions
from broker.datasets.service import Dataset
from broker.datasets.token_counts import CountKey
from broker.quotes.counts.count_aside import count_whole
from broker.quotes.counts.counting import COUNTS, fits, name_tokenizer, remember
from broker.work import Work
from pricing.catalog.profile import BaseModelProfile
from pricing.training.label_config import is_label_config

Look = Callable[[], AbstractAsyncContextManager[Work]]
# Pictures are measured, not decoded: so many bytes take some tenths of a second.
SMALL_PICTURES_BYTES = 64 * 1024 * 1024
# Where the count of a data set for a base model, as it was spelt, is remembered: the next quote needs no look.
KNOWN: MutableMapping[tuple[str, str], tuple[str, str]] = LRUCache(16_384)
WAIT_SECONDS, LOOK_SECONDS = 2.0, 0.25
MODELS_AT_ONCE = 8


@dataclass(frozen=True)
class _Need:
    """A data set that is not counted for a base model yet; `tokenizer` is that of text, loaded."""

    dataset: Dataset
    profile: BaseModelProfile
    tokenizer: Tokenizer | None

    @property
    def key(self) -> CountKey:
        return CountKey(self.dataset.id, name_tokenizer(self.profile))

    @property
    def is_small(self) -> bool:
        if self.tokenizer is None:
            return self.dataset.size_bytes <= SMALL_PICTURES_BYTES
        return token_counts.is_small(self.dataset)


async def meet_count_needs(look: Look, raw_configs: Iterable[Mapping[str, Any]], dataset_id: str) -> None:
    """Have a data set counted for the base models of these configurations: no transaction is open while it takes.

    What is large gets a moment; after that the quote says how far it is. Whatever else is wrong is said there, too.
    """
    configs = list(raw_configs)
    if any(map(is_label_config, configs)):
        await _meet_captions(look, dataset_id)
    names = {name for config in configs if isinstance(name := config.get("base_model"), str)}
    for name in sorted(names)[:MODELS_AT_ONCE]:
        if KNOWN.get((dataset_id, name)) not in COUNTS:
            await _meet(look, dataset_id, name)


async def _meet_captions(look: Look, dataset_id: str) -> None:
    """Have the captions of a data set of pictures read, by which a labelling is quoted."""
    async with look() as work:
        dataset = await datasets.find_dataset(work, dataset_id)
        storage = work.storage
    if dataset is not None and dataset.kind == "images":
        await read_captions(storage, dataset)


async def _meet(look: Look, dataset_id: str, name: str) -> None:
    async with look() as work:
        dataset = await datasets.find_dataset(work, dataset_id)
        profile = (await base_models.read_offer(work)).find(name)
        if dataset is None or profile is None or profile.tokenizer is None or not fits(dataset, profile):
            return
        KNOWN[dataset_id, name] = (dataset.sha256, name_tokenizer(profile))
        need = await _find_need(work, dataset, profile)
        storage = work.storage
    if need is None or KNOWN[dataset_id, name] in COUNTS:
        return
    if need.is_small:
        async with dataset.tar.borrow(storage) as packed:
            counted = await asyncio.to_thread(count_whole, packed, need.profile, need.tokenizer)
        remember(dataset, need.key.tokenizer, counted)
    else:
        await _wait(look, need)


async def _find_need(work: Work, dataset: Dataset, profile: BaseModelProfile) -> _Need | None:
    """Find what is not counted yet; where that is not small, the counter is asked for it."""
    key = CountKey(dataset.id, name_tokenizer(profile))
    count = await token_counts.find_count(work, key)
    if count is not None and count.status != "counting":
        return None
    need = _Need(dataset, profile, await load_tokenizer(work, profile) if profile.is_text else None)
    if not need.is_small and (count is None or count.asked_at is None):
        await token_counts.ask_for_count(work, key, dataset, profile.name, waits=True)
    return need


async def _wait(look: Look, need: _Need) -> None:
    """Wait a moment for the counter."""
    for _ in range(round(WAIT_SECONDS / LOOK_SECONDS)):
        await asyncio.sleep(LOOK_SECONDS)
        async with look() as work:
            count = await token_counts.find_count(work, need.key)
        if count is not None and count.status != "counting":
            return
