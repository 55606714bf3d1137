"""Descriptions of base models as the trainer makes them, without the trainer."""

import gzip
import hashlib

from pricing.catalog import get_base_model, read_tokenizer
from pricing.catalog.described import ModelDescription
from pricing.catalog.profile import ADDED_TOKENIZER


def describe_tiny(name: str, *, sha256: str = "a" * 64, aliases: tuple[str, ...] = ()) -> ModelDescription:
    """Describe a model under this name with the shape and the tokenizer of the one that ships whole."""
    shipped = get_base_model("smollm2-135m-instruct")
    tokenizer = gzip.decompress(read_tokenizer(shipped)).decode()
    digest = hashlib.sha256(tokenizer.encode()).hexdigest()
    changed = {
        "name": name,
        "aliases": aliases,
        "weights": None,
        "tokenizer": f"{ADDED_TOKENIZER}{digest}",
        "weights_sha256": sha256,
    }
    return ModelDescription(
        profile=shipped.model_copy(update=changed), tokenizer=tokenizer, files=("config.json",), size_bytes=1000
    )
