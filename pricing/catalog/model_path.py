"""Telling which base model a path of somebody's machine means, by the names of its file and folders. Reads nothing."""

import re
from collections.abc import Callable, Iterator

from pricing.catalog import fold_spelling, load_base_models
from pricing.catalog.profile import BaseModelProfile

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
# What distributors put behind a model's name; it changes neither shape nor tokenizer.
DISTRIBUTION = re.compile(r"[-_.](?:emaonly|ema[-_.]only|no[-_.]?ema|pruned|ema|fp16|fp32|bf16|hf)$")

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
