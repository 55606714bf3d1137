"""The tokenizers that data is counted by: those of the catalogue, and those that an operator added with a model."""

import asyncio
import gzip
from collections.abc import MutableMapping
from dataclasses import dataclass
from threading import Lock

from cachetools import LRUCache
from sqlalchemy import select
from sqlalchemy.orm import undefer
from tokenizers import Tokenizer

from broker.base_models.tables import AddedModel
from broker.work import Work
from pricing.catalog import NoTokenizer, read_tokenizer
from pricing.catalog.offered import ModelNotOffered
from pricing.catalog.profile import BaseModelProfile


@dataclass(frozen=True)
class _Loaded:
    """A tokenizer with about how much memory it takes: its tables of a vocabulary are several times its file."""

    tokenizer: Tokenizer
    size_bytes: int


MEMORY_OF_FILE = 6  # measured with tokenizers 0.23
CACHE_BYTES = 512 * 1024 * 1024
# Those last used, by file or by the hash of their content, in bytes: to read one takes a tenth of a second and more.
# Threads that count ask, too.
LOCK = Lock()
LOADED: MutableMapping[str, _Loaded] = LRUCache(CACHE_BYTES, getsizeof=lambda loaded: loaded.size_bytes)


async def load_tokenizer(work: Work, profile: BaseModelProfile) -> Tokenizer:
    """Load the tokenizer of a model that is on offer.

    Raises: ModelNotOffered, where it is not kept here.
    """
    if not profile.has_added_tokenizer:
        return load_shipped_tokenizer(profile)
    assert profile.tokenizer is not None, "it has one"
    known = _find_loaded(profile.tokenizer)
    if known is not None:
        return known
    packed = await _read_added(work, profile)
    return await asyncio.to_thread(_load, profile.tokenizer, packed)


async def _read_added(work: Work, profile: BaseModelProfile) -> bytes:
    """Read the tokenizer of these very files, also where they were taken off the offer since."""
    query = select(AddedModel).where(AddedModel.sha256 == profile.weights_sha256, AddedModel.tokenizer.is_not(None))
    row = await work.session.scalar(query.options(undefer(AddedModel.tokenizer)).limit(1))
    if row is None or row.tokenizer is None:
        raise ModelNotOffered(f"the tokenizer of {profile.name} is not kept here; an operator adds the model anew")
    return row.tokenizer


def load_shipped_tokenizer(profile: BaseModelProfile) -> Tokenizer:
    """Load a tokenizer of the catalogue. Raises: NoTokenizer."""
    if profile.tokenizer is None or profile.has_added_tokenizer:
        raise NoTokenizer(profile.name)
    known = _find_loaded(profile.tokenizer)
    return known or _load(profile.tokenizer, read_tokenizer(profile))


def _find_loaded(key: str) -> Tokenizer | None:
    with LOCK:
        known = LOADED.get(key)
    return None if known is None else known.tokenizer


def _load(key: str, packed: bytes) -> Tokenizer:
    """Load a tokenizer, and remember it, in the place of others, where there is room for one of its size at all."""
    written = gzip.decompress(packed)
    loaded = _Loaded(Tokenizer.from_str(written.decode()), MEMORY_OF_FILE * len(written))
    if loaded.size_bytes <= CACHE_BYTES:
        with LOCK:
            LOADED[key] = loaded
    return loaded.tokenizer
