"""The tokenizers that data is counted by: those of the catalogue, and those that an operator added with a model."""

import gzip
from collections.abc import MutableMapping
from functools import lru_cache

from cachetools import LRUCache
from sqlalchemy import select
from sqlalchemy.orm import undefer
from tokenizers import Tokenizer

from broker.base_models.tables import AddedModel
from broker.work import Work
from pricing.catalog import CATALOG, NoTokenizer
from pricing.catalog.offered import ModelNotOffered
from pricing.catalog.profile import BaseModelProfile

# Those last used, by the hash of their content: to read one takes a tenth of a second.
ADDED: MutableMapping[str, Tokenizer] = LRUCache(8)


async def load_tokenizer(work: Work, profile: BaseModelProfile) -> Tokenizer:
    """Load the tokenizer of a model that is on offer.

    Raises: ModelNotOffered, where it is not kept here.
    """
    if not profile.has_added_tokenizer:
        return load_shipped_tokenizer(profile)
    assert profile.tokenizer is not None, "it has one"
    known = ADDED.get(profile.tokenizer)
    if known is None:
        known = ADDED[profile.tokenizer] = _unpack(await _read_added(work, profile))
    return known


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
    return _unpack_shipped(profile.tokenizer)


@lru_cache(maxsize=8)
def _unpack_shipped(file: str) -> Tokenizer:
    return _unpack((CATALOG / "tokenizers" / file).read_bytes())


def _unpack(packed: bytes) -> Tokenizer:
    return Tokenizer.from_str(gzip.decompress(packed).decode())
