"""Captions as the trainer reads them."""

from collections.abc import Sequence

from trainer.families.stable_diffusion.clip_text import ClipTokenizer


def count_trained_tokens(texts: Sequence[str]) -> list[int]:
    """What the text encoder reads of each text, which is what a caption is billed for."""
    tokenizer = ClipTokenizer.load()
    return [len(tokenizer.encode(text).token_ids) for text in texts]
