"""Rows of token ids as the tensors of one batch: padded to the longest, or packed end to end."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch

from pricing.datasets.text_rows import EncodedRow
from trainer.kernels.even_sizes import count_missing
from trainer.kernels.packed_attention import PackedRows, lay_out_rows
from trainer.machine.transfer import bring


@dataclass(frozen=True)
class TextBatch:
    """Tensors [rows, length], or [1, tokens] when packed. `learnt` are the places whose next token carries loss.

    They count through all rows, and are no mask: to find the places of a mask, a GPU has to be waited for.
    `tokens` are those of the rows: a prefix that is computed once counts in every row that it belongs to, as quoted.
    """

    input_ids: torch.Tensor
    learnt: torch.Tensor  # [loss tokens]
    targets: torch.Tensor  # [loss tokens], in the order of `learnt`
    tokens: int
    attention_mask: torch.Tensor | None = None
    position_ids: torch.Tensor | None = None
    packed_rows: PackedRows | None = None

    @property
    def weight(self) -> float:
        """The loss tokens."""
        return len(self.targets)

    def to(self, device: torch.device) -> Self:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: bring(value, device) for name, value in named.items() if torch.is_tensor(value)}
        return replace(self, **moved)

    def model_inputs(self) -> dict[str, Any]:
        """Return the arguments of the model's `forward`."""
        if self.packed_rows is None:
            return {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        ready = self.input_ids.new_empty(1, 1, 0, 0)  # "a mask is made already": the attention has its own
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "attention_mask": ready,
            "packed_rows": self.packed_rows,
        }


def pad_rows(rows: Sequence[EncodedRow]) -> TextBatch:
    """Pad on the right to the longest row; rows of one length need no mask, which a GPU would be waited for to read."""
    length = max(len(row.token_ids) for row in rows)
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    attention_mask, learnt = torch.zeros_like(input_ids), torch.zeros_like(input_ids, dtype=torch.bool)
    for index, row in enumerate(rows):
        used = len(row.token_ids)
        input_ids[index, :used] = torch.tensor(row.token_ids)
        attention_mask[index, :used] = 1
        learnt[index, :used] = mark_learnt(row)
    targets = input_ids.roll(-1, dims=1)[learnt]
    places, tokens = find_places(learnt), int(attention_mask.sum())
    is_padded = tokens < attention_mask.numel()
    return TextBatch(input_ids, places, targets, tokens, attention_mask if is_padded else None)


def find_places(learnt: torch.Tensor) -> torch.Tensor:
    return learnt.flatten().nonzero().flatten()


def pack_rows(rows: Sequence[EncodedRow], device: torch.device, *, by_bounds: bool = False) -> TextBatch:
    """Lay the rows end to end, after the prefix that all of them share and that carries no loss.

    A row ends with the last token that predicts a learnt one: what comes after it changes no loss. So the shortest row
    can fill the batch up, where that pays, with copies of its last token.
    """
    prefix, marks = count_shared_prefix(rows), [mark_learnt(row) for row in rows]
    ids = [torch.tensor(row.token_ids) for row in rows]
    ends = [max(prefix, *mark.nonzero().flatten().tolist(), 0) + 1 for mark in marks]
    places = [torch.arange(prefix, end) for end in ends]
    shortest, missing = ends.index(min(ends)), count_missing(prefix + sum(map(len, places)), device)
    places[shortest] = torch.cat([places[shortest], places[shortest][-1:].expand(missing)])
    own = [of_row[place] for of_row, place in zip(ids, places, strict=True)]
    own_marks = [mark[place] for mark, place in zip(marks, places, strict=True)]
    own_marks[shortest][len(places[shortest]) - missing :] = False
    targets = torch.cat([of_row.roll(-1)[mark] for of_row, mark in zip(ids, marks, strict=True)])
    learnt = torch.cat([marks[0][:prefix], *own_marks])
    return TextBatch(
        input_ids=torch.cat([ids[0][:prefix], *own])[None],
        learnt=find_places(learnt),
        targets=targets,
        tokens=sum(len(row.token_ids) for row in rows),
        position_ids=torch.cat([torch.arange(prefix), *places])[None],
        packed_rows=lay_out_rows(prefix, tuple(map(len, places)), learnt, device, by_bounds=by_bounds),
    )


def mark_learnt(row: EncodedRow) -> torch.Tensor:
    """Mark each position whose next token is learnt: those of completions, not of prompts."""
    mark = torch.zeros(len(row.token_ids), dtype=torch.bool)
    mark[max(row.prompt_length - 1, 0) : len(row.token_ids) - 1] = True
    for start, end in row.unlearnt:
        mark[start - 1 : end - 1] = False
    return mark


def count_shared_prefix(rows: Sequence[EncodedRow]) -> int:
    """Count the tokens that all rows begin with, none of them predicting a token that is learnt; 0 for a single row."""
    if len(rows) == 1:
        return 0
    longest = max(min(row.prompt_length for row in rows) - 1, 0)
    first, rest = rows[0].token_ids, rows[1:]
    for place in range(longest):
        if any(row.token_ids[place] != first[place] for row in rest):
            return place
    return longest
