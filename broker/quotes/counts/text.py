"""Text: its tokens counted with the base model's own tokenizer, without torch, and the work of training on it."""

import os
from collections.abc import Sequence

from tokenizers import Tokenizer

from broker.base_models.tokenizers import load_shipped_tokenizer
from broker.quotes.checking.refusal import refuse_config
from broker.quotes.counts.row_lengths import RowLengths
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_format import RowLength, TextFormat, measure_row
from pricing.datasets.text_rows import TextRow
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import Workload

__all__ = ["RowLength", "count_caption_tokens", "count_row_lengths", "measure_captions", "plan_text"]

# One thread counts at a time: the other cores are for those who wait for an answer.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def count_row_lengths(
    rows: Sequence[TextRow], profile: BaseModelProfile, tokenizer: Tokenizer | None = None
) -> list[RowLength]:
    """Count every row as the trainer will encode it; without a tokenizer by the one that ships for the model.

    The tokenizer works without Python's lock, for all the rows at once: hand in some thousands.
    """
    counting = tokenizer or load_shipped_tokenizer(profile)
    text_format = profile.text_format or TextFormat()
    laid_out = [list(text_format.lay_out(row)) for row in rows]
    texts = [text for pieces in laid_out for text, _ in pieces]
    counts = (len(encoded) for encoded in counting.encode_batch_fast(texts, add_special_tokens=False))
    return [
        measure_row([(next(counts), is_learnt) for _, is_learnt in pieces], max_length=profile.context_length)
        for pieces in laid_out
    ]


def count_caption_tokens(captions: Sequence[str], profile: BaseModelProfile) -> list[int]:
    """Count the tokens that the text encoder reads of each caption: with begin and end, cut at its context length."""
    return [min(tokens, profile.context_length) for tokens in measure_captions(captions, profile)]


def measure_captions(captions: Sequence[str], profile: BaseModelProfile) -> list[int]:
    """Count all tokens of each caption, with begin and end. Every Stable Diffusion has the vocabulary that ships."""
    return [len(each) for each in load_shipped_tokenizer(profile).encode_batch_fast(list(captions))]


def plan_text(lengths: RowLengths, config: TrainingConfig) -> Workload:
    """Plan the work of a configuration on rows of these lengths.

    A row whose prompt alone fills `max_length` has nothing to learn, and is not read. Raises: InvalidTrainingConfig,
    where no row is left.
    """
    rows = lengths.list_learnable(config.max_length)
    if not rows:
        message = f"every row's prompt fills max_length ({config.max_length} tokens); raise it"
        raise refuse_config("max_length", message)
    cut, learnt = lengths.cut(rows, config.max_length)
    return plan_text_workload(cut, config, learnt)
