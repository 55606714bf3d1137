"""The lengths of all rows of a data set: eight bytes a row in memory, less as they are kept. Pure."""

import json
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pricing.datasets.text_format import RowLength, count_learnt

Spans = tuple[tuple[int, int], ...]


def _whole_numbers() -> "array[int]":
    return array("I")


@dataclass(frozen=True)
class RowLengths:
    """Row by row in the order of the data; `later_prompts` only of those that have some, by the row's place.

    `cut_by_context` are the places of the rows that are longer than the base model reads.
    """

    prompts: "array[int]" = field(default_factory=_whole_numbers)
    wholes: "array[int]" = field(default_factory=_whole_numbers)
    later_prompts: dict[int, Spans] = field(default_factory=dict)
    cut_by_context: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[RowLength]) -> "RowLengths":
        lengths = cls()
        lengths.extend(rows)
        return lengths

    def extend(self, rows: Iterable[RowLength]) -> None:
        for row in rows:
            if row.later_prompts:
                self.later_prompts[len(self.wholes)] = row.later_prompts
            if row.is_cut:
                self.cut_by_context.append(len(self.wholes))
            self.prompts.append(row.prompt)
            self.wholes.append(row.whole)

    def append(self, others: "RowLengths") -> None:
        first = len(self)
        self.later_prompts.update({first + row: spans for row, spans in others.later_prompts.items()})
        self.cut_by_context.extend(first + row for row in others.cut_by_context)
        self.prompts.extend(others.prompts)
        self.wholes.extend(others.wholes)

    def __len__(self) -> int:
        return len(self.wholes)

    @property
    def size_bytes(self) -> int:
        """Tell about how much memory they take."""
        return (
            512
            + 8 * len(self)
            + 32 * len(self.cut_by_context)
            + sum(200 + 120 * len(spans) for spans in self.later_prompts.values())
        )

    def list_learnable(self, max_length: int) -> list[int]:
        """List the rows that have something to learn when cut at `max_length`: not those whose prompt fills it."""
        pairs = enumerate(zip(self.prompts, self.wholes, strict=True))
        return [row for row, (prompt, whole) in pairs if prompt < whole and prompt < max_length]

    def count_cut(self, rows: Sequence[int], max_length: int) -> int:
        """Count the rows that lose their end at `max_length`, or at what the base model reads."""
        beyond = set(self.cut_by_context)
        return sum(self.wholes[row] > max_length or row in beyond for row in rows)

    def cut(self, rows: Sequence[int], max_length: int) -> tuple[list[int], list[int]]:
        """Cut rows at `max_length` tokens: how long they are then, and how many tokens of each carry loss."""
        wholes, prompts, later = self.wholes, self.prompts, self.later_prompts
        lengths = [min(max_length, wholes[row]) for row in rows]
        if later:
            pairs = zip(rows, lengths, strict=True)
            return lengths, [count_learnt(length, prompts[row], later.get(row, ())) for row, length in pairs]
        return lengths, [length - (prompts[row] or 1) for row, length in zip(rows, lengths, strict=True)]

    def pack(self) -> bytes:
        """Write the lengths as they are kept."""
        later = {str(row): spans for row, spans in self.later_prompts.items()}
        written = [self.prompts.tolist(), self.wholes.tolist(), later, self.cut_by_context]
        return zlib.compress(json.dumps(written, separators=(",", ":")).encode(), 1)


def unpack_lengths(parts: Iterable[bytes]) -> RowLengths:
    """Read lengths that were packed, part after part."""
    lengths = RowLengths()
    for part in parts:
        prompts, wholes, later, beyond = json.loads(zlib.decompress(part))
        spans = {int(row): tuple((start, end) for start, end in written) for row, written in later.items()}
        lengths.append(RowLengths(array("I", prompts), array("I", wholes), spans, beyond))
    return lengths
