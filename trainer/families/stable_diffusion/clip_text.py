"""Captions to CLIP token ids: the vocabulary is the same for every Stable Diffusion, and ships in the catalogue."""

import gzip
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from tokenizers import Tokenizer

from pricing.catalog import CATALOG

VOCABULARY = "clip-vit-large-patch14.json.gz"
LENGTH = 77  # positions of CLIP's text encoders, begin and end of text counted
END = 49407


@dataclass(frozen=True)
class Caption:
    """One caption as a text encoder reads it: begin, at most 75 tokens, end; without the padding."""

    token_ids: tuple[int, ...]
    is_cut: bool = field(default=False, compare=False)

    def padded(self, pad: int) -> list[int]:
        return [*self.token_ids, *[pad] * (LENGTH - len(self.token_ids))]


@dataclass(frozen=True)
class ClipTokenizer:
    """CLIP's byte pair encoding."""

    tokenizer: Tokenizer

    @classmethod
    def load(cls) -> Self:
        return cls(_load_vocabulary())

    def encode(self, text: str) -> Caption:
        """Encode a text as token ids with begin and end; a longer text loses its end."""
        ids = self.tokenizer.encode(text).ids
        if len(ids) <= LENGTH:
            return Caption(tuple(ids))
        return Caption((*ids[: LENGTH - 1], ids[-1]), is_cut=True)


@lru_cache(maxsize=1)
def _load_vocabulary() -> Tokenizer:
    packed = (CATALOG / "tokenizers" / VOCABULARY).read_bytes()
    return Tokenizer.from_str(gzip.decompress(packed).decode("utf-8"))
