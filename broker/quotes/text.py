"""Text: its tokens counted with the base model's own tokenizer, without torch, and the work of training on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from broker.base_models.tokenizers import load_shipped_tokenizer
from broker.quotes.refusal import refuse_config
from pricing.catalog.profile import BaseModelProfile
from pricing.datasets.text_format import TextFormat, count_learnt
from pricing.datasets.text_rows import TextRow, encode_row
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import Workload


@dataclass(frozen=True)
class RowLength:
    """Tokens of one row, chat template included, cut only at the model's context length.

    `later_prompts` (start, end) are those of a conversation's further turns; like the first they carry no loss.
    """

    prompt: int
    whole: int
    later_prompts: tuple[tuple[int, int], ...] = ()

    def count_learnt(self, max_length: int) -> int:
        """Count the tokens that carry loss in the row cut at `max_length`."""
        return count_learnt(min(self.whole, max_length), self.prompt, self.later_prompts)


def count_row_lengths(
    rows: Sequence[TextRow], profile: BaseModelProfile, tokenizer: Tokenizer | None = None
) -> tuple[RowLength, ...]:
    """Count every row as the trainer will encode it; without a tokenizer by the one that ships for the model."""
    counting = tokenizer or load_shipped_tokenizer(profile)

    def encode(text: str) -> list[int]:
        return counting.encode(text, add_special_tokens=False).ids

    text_format = profile.text_format or TextFormat()
    encoded = (encode_row(row, text_format, encode, max_length=profile.context_length) for row in rows)
    return tuple(RowLength(row.prompt_length, len(row.token_ids), row.unlearnt) for row in encoded)


def count_caption_tokens(captions: Sequence[str], profile: BaseModelProfile) -> list[int]:
    """Count the tokens that the text encoder reads of each caption: with begin and end, cut at its context length.

    Every Stable Diffusion has the vocabulary that ships.
    """
    encoded = load_shipped_tokenizer(profile).encode_batch(list(captions))
    return [min(len(each.ids), profile.context_length) for each in encoded]


def plan_text(lengths: Sequence[RowLength], config: TrainingConfig) -> Workload:
    """Plan the work of a configuration on rows of these lengths. Raises: InvalidTrainingConfig, where none is left."""
    rows = list_learnable(lengths, config)
    cut = [min(row.whole, config.max_length) for row in rows]
    return plan_text_workload(cut, config, [row.count_learnt(config.max_length) for row in rows])


def list_learnable(lengths: Sequence[RowLength], config: TrainingConfig) -> list[RowLength]:
    """List the rows that training reads: one whose prompt alone fills `max_length` has nothing to learn.

    Raises: InvalidTrainingConfig, where no row is left.
    """
    rows = [row for row in lengths if row.prompt < min(row.whole, config.max_length)]
    if not rows:
        message = f"every row's prompt fills max_length ({config.max_length} tokens); raise it"
        raise refuse_config("max_length", message)
    return rows
