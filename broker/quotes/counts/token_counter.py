"""The counter: it counts data sets in the background, a batch at a time, customers in turn.

Several may run on one database: each claims what it counts. What it has counted is kept part by part, so that whoever
goes on after a crash, or after another customer's turn, begins where the last part ended.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.base_models import service as base_models
from broker.base_models.tokenizers import load_tokenizer
from broker.datasets import token_counts
from broker.datasets.service import Dataset
from broker.datasets.stored_tar import Opener
from broker.datasets.token_counts import ClaimedCount, CountKey
from broker.quotes.counts.count_aside import Counted, count_in_batches
from broker.quotes.counts.counting import fits, name_tokenizer
from broker.system import System
from broker.work import Work
from pricing.catalog.offered import ModelNotOffered
from pricing.catalog.profile import BaseModelProfile

log = logging.getLogger(__name__)

TURN_SECONDS = 2.0
PLANNED_AT_ONCE = 20
# A new data set is counted ahead for so many tokenizers; for the others once a quote needs them.
TOKENIZERS_AHEAD = 8
NO_MODEL = "its base model is no longer on offer in the form in which it was to be counted"


@dataclass
class TokenCounter:
    """Counts what is asked for and what is new, one data set at a time."""

    system: System
    name: str = field(default_factory=lambda: secrets.token_hex(8))

    async def count_all(self) -> None:
        """Count until nothing waits any more."""
        while await self.count_next():
            pass

    async def count_next(self) -> bool:
        """Give the next customer's data set a turn; returns whether there was one."""
        async with self.system.work() as work:
            await plan_ahead(work)
        async with self.system.work() as work:
            claim = await token_counts.claim_count(work, self.name)
        if claim is None:
            return False
        try:
            await self._count(claim)
        except BaseException:
            log.warning("the count of data set %s broke off after %s rows", claim.key.dataset_id, claim.counted)
            raise
        return True

    async def _count(self, claim: ClaimedCount) -> None:
        async with claim.tar.borrow(self.system.services.storage) as packed:
            await self._count_packed(claim, packed)

    async def _count_packed(self, claim: ClaimedCount, packed: Opener) -> None:
        async with self.system.work() as work:
            batches = await _prepare(work, claim, packed)
            if batches is None:
                await token_counts.fail_count(work, claim, NO_MODEL)
                return
        turn_ends = time.monotonic() + TURN_SECONDS
        number = claim.parts
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            async with self.system.work() as work:
                if not await token_counts.keep_part(work, claim, number, batch.pack(), len(batch)):
                    return
                number += 1
                if time.monotonic() > turn_ends and await token_counts.is_another_waiting(work, claim):
                    await token_counts.release_count(work, claim)
                    return
        async with self.system.work() as work:
            await token_counts.finish_count(work, claim)


async def plan_ahead(work: Work) -> None:
    """Ask for the counts of new data sets, by the tokenizers that are on offer for what they hold."""
    unplanned = await token_counts.list_unplanned(work, PLANNED_AT_ONCE)
    if not unplanned:
        return
    offered = [profile for profile in (await base_models.read_offer(work)).list_all() if profile.tokenizer is not None]
    for dataset in unplanned:
        for tokenizer, profile in list_tokenizers(offered, dataset):
            key = CountKey(dataset.id, tokenizer)
            await token_counts.ask_for_count(work, key, dataset, profile.name, waits=False)


def list_tokenizers(offered: list[BaseModelProfile], dataset: Dataset) -> list[tuple[str, BaseModelProfile]]:
    """List the tokenizers that a data set is counted by ahead, each with a base model of it: those that ship first."""
    fitting = sorted(
        (profile for profile in offered if fits(dataset, profile)), key=lambda each: each.has_added_tokenizer
    )
    distinct = {name_tokenizer(profile): profile for profile in reversed(fitting)}
    return list(reversed(distinct.items()))[:TOKENIZERS_AHEAD]


async def _prepare(work: Work, claim: ClaimedCount, packed: Opener) -> Iterator[Counted] | None:
    """Prepare the batches that are left to count; None where the model is no longer the one that was meant."""
    profile = (await base_models.read_offer(work)).find(claim.base_model)
    if profile is None or name_tokenizer(profile) != claim.key.tokenizer:
        return None
    try:
        tokenizer = await load_tokenizer(work, profile) if profile.is_text else None
    except ModelNotOffered:
        return None
    return count_in_batches(packed, profile, tokenizer, skip=claim.counted)
