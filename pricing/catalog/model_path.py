"""Telling which base model a path of somebody's machine means, by the names of its file and folders. Reads nothing."""

import re
from collections.abc import Callable, Iterator
from functools import cache

from pricing.catalog import (
    UnknownBaseModel,
    find_base_model,
    find_same_shape,
    list_spellings_of_models,
    load_base_models,
)
from pricing.catalog.profile import BaseModelProfile
from pricing.catalog.spellings import fold_spelling

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
# What distributors put behind a model's name; it changes neither shape nor tokenizer.
DISTRIBUTION = re.compile(
    r"[-_.](?:emaonly|ema[-_.]only|no[-_.]?ema|pruned|ema|fp16|fp32|bf16|hf|unsloth|bnb|[48]bit|nf4|int[48]|fp8|awq|gptq"
    r"|gguf|mlx|qat|dynamic|quantized|unquantized|w4a16|w8a8|q\d(?:_\d|_k(?:_[sml])?)?)$"
)

DRIVE = re.compile(r"[A-Za-z]:")
HUB_PARTS = 2  # owner/Name

# A path may be of any length and each of its parts is compared with all models: those of its end are enough, and what
# is longer than a file's name can be is none.
LAST_PARTS, LONGEST_NAME = 8, 255


def is_path(name: str) -> bool:
    """Tell whether a name that no model has is a path: it has folders in it, or the suffix of a file of weights."""
    return "/" in name or "\\" in name or name.casefold().endswith(SUFFIXES)


def looks_like_path(name: str) -> bool:
    """Tell whether a name can be meant as a path only: it says where from, ends like a folder, or has the suffix of a
    file of weights. `owner/Name` is as well a model of a hub.
    """
    parts = re.split(r"[/\\]", name)
    says_where = parts[0] in {"", ".", "..", "~"} or parts[0].startswith("~") or DRIVE.match(name) is not None
    ends_so = parts[-1] == "" or name.casefold().endswith(SUFFIXES)
    return says_where or ends_so or "\\" in name or ".." in parts or len(parts) > HUB_PARTS


def find_named_by_path(path: str, find: Callable[[str], BaseModelProfile | None]) -> BaseModelProfile | None:
    """Find the model that a path names: by its last part that is the spelling of one; None where none is.

    Of a long path only the end is looked at.
    """
    parts = [part for part in re.split(r"[/\\]", path) if part][-LAST_PARTS:]
    for part in reversed([part for part in parts if len(part) <= LONGEST_NAME]):
        for name in _list_spellings(part):
            found = find(name) or _find_by_tail(name)
            if found is not None:
                return found
    return None


def get_model_by_shape(name: str) -> BaseModelProfile:
    """Get the model whose shape something has that a hub calls so: by any spelling, whoever packed or copied it.

    `unsloth/Qwen3-8B-bnb-4bit` has the shape of qwen3-8b; that its weights are the same nobody says.
    Raises: UnknownBaseModel.
    """
    known = find_base_model(name) or find_same_shape(name) or _find_copied(name)
    if known is None:
        raise UnknownBaseModel(name, list_spellings_of_models())
    return known


def _find_copied(name: str) -> BaseModelProfile | None:
    """Find by the last part of a name, without what distributors put behind it."""
    part = re.split(r"[/\\]", name)[-1]
    spellings = _list_spellings(part) if 0 < len(part) <= LONGEST_NAME else ()
    return next(filter(None, (_index_tails().get(fold_spelling(spelling)) for spelling in spellings)), None)


@cache
def _index_tails() -> dict[str, BaseModelProfile]:
    """Index models, and those of the same shape, by their names without an owner."""
    return {
        fold_spelling(spelling.rpartition("/")[2]): profile
        for profile in load_base_models().values()
        for spelling in (*profile.same_shape, *profile.aliases, profile.name)
    }


def _list_spellings(part: str) -> Iterator[str]:
    """List what a file or folder may be called, from the whole name to the one without what distributors add."""
    name = part.casefold()
    name = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
    yield name
    while (shorter := DISTRIBUTION.sub("", name)) != name:
        name = shorter
        yield name


def _find_by_tail(name: str) -> BaseModelProfile | None:
    """Find a model of the catalogue by a repository's name without its owner (`owner/Name` on a hub)."""
    folded = fold_spelling(name)
    for profile in load_base_models().values():
        if any(fold_spelling(alias.rpartition("/")[2]) == folded for alias in profile.aliases):
            return profile
    return None
