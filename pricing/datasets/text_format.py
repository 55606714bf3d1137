"""A text row, the text that a base model expects around it, and the tokens of the two: one code for the quote and for
the training, so that the tokens that were quoted are the tokens that are trained and billed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class TextRow:
    """One training example: completions are learnt, prompts are context.

    `history` holds earlier turns (prompt, answer) of the same conversation, whose answers are learnt as well, but for
    those whose numbers (from 0) are in `context_answers`. A plain row is its completion, with nothing around it.
    """

    prompt: str
    completion: str
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    is_plain: bool = False
    context_answers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TextFormat:
    """The text that a base model expects around prompt and completion (its chat template, written out).

    `before_prompt` opens a conversation without a system message. Where there is one it stands between `before_system`
    and `after_system`, which take the place of `before_prompt`; `before_next_prompt` stands before every later prompt,
    with the number of the turn (from 1) where it says {round}. `after_earlier_completion` stands after every answer but
    the last, where that is not `after_completion`. None where the template has no such thing.

    `begin` is what the tokenizer puts before any text by itself (`<s>`): plain rows have it, and conversations where no
    template writes its own (`begins_conversations`). A text that begins with it has it once.
    """

    before_prompt: str = ""
    after_prompt: str = "\n"
    after_completion: str = ""
    before_system: str | None = None
    after_system: str | None = None
    before_next_prompt: str | None = None
    after_earlier_completion: str | None = None
    begin: str = ""
    begins_conversations: bool = False

    def open_conversation(self, system: str | None) -> str:
        """Write what stands before the first prompt; without a place of its own the system message leads the prompt."""
        if system is None:
            return self.before_prompt
        if self.before_system is None or self.after_system is None:
            return f"{self.before_prompt}{system}\n\n"
        return f"{self.before_system}{system}{self.after_system}"

    def lay_out_prompt(self, row: TextRow) -> list[str]:
        """Lay out a conversation up to where its last answer begins."""
        return [text for text, _ in self.lay_out(row)][:-1]

    def lay_out(self, row: TextRow) -> Iterator[tuple[str, bool]]:
        """Lay out the pieces of a row in order, each with whether it is learnt: prompts and answers in turn."""
        first = row.completion if row.is_plain else self.open_conversation(row.system) + row.prompt
        if self.begin and (row.is_plain or self.begins_conversations) and not first.startswith(self.begin):
            yield self.begin, False
        if row.is_plain:
            yield row.completion + self.after_completion, True
            return
        opening = self.open_conversation(row.system)
        next_opening = self.before_prompt if self.before_next_prompt is None else self.before_next_prompt
        between = self.after_completion if self.after_earlier_completion is None else self.after_earlier_completion
        for number, (prompt, completion) in enumerate((*row.history, (row.prompt, row.completion)), start=1):
            yield opening + prompt + self.after_prompt, False
            end = between if number <= len(row.history) else self.after_completion
            yield completion + end, number - 1 not in row.context_answers
            opening = next_opening.replace("{round}", str(number + 1))


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of one row; the first `prompt_length` of them carry no loss, nor do the later prompts, `unlearnt`
    (start, end).
    """

    token_ids: list[int]
    prompt_length: int
    unlearnt: tuple[tuple[int, int], ...] = ()
    is_cut: bool = field(default=False, compare=False)

    @property
    def is_learnable(self) -> bool:
        """Whether a token of the completion is left after the cut: a row without one would be billed for nothing."""
        return self.prompt_length < len(self.token_ids)


def count_learnt(length: int, prompt_length: int, unlearnt: Iterable[tuple[int, int]] = ()) -> int:
    """Count the tokens of completions in a row cut at `length`: those carry loss, each predicted by the one before it.

    The first token of a row is predicted by none.
    """
    later_prompts = sum(max(0, min(end, length) - start) for start, end in unlearnt)
    return max(0, length - max(prompt_length, 1) - later_prompts)


@dataclass(frozen=True)
class RowLength:
    """Tokens of one row, all text around it included; the first `prompt` of them carry no loss.

    `later_prompts` (start, end) are those of a conversation's further turns; like the first they carry no loss.
    """

    prompt: int
    whole: int
    later_prompts: tuple[tuple[int, int], ...] = ()
    is_cut: bool = field(default=False, compare=False)

    def count_learnt(self, max_length: int) -> int:
        """Count the tokens that carry loss in the row cut at `max_length`."""
        return count_learnt(min(self.whole, max_length), self.prompt, self.later_prompts)


def measure_row(pieces: Iterable[tuple[int, bool]], *, max_length: int) -> RowLength:
    """Measure a row from the tokens of its pieces, each with whether it is learnt, cut at `max_length` tokens."""
    end = 0
    prompts: list[tuple[int, int]] = []
    for tokens, is_learnt in pieces:
        start, end = end, end + tokens
        if not is_learnt and prompts and prompts[-1][1] == start:  # an answer that is context only, or what follows it
            prompts[-1] = (prompts[-1][0], end)
        elif not is_learnt:
            prompts.append((start, end))
    whole = min(end, max_length)
    kept = [(start, min(end, max_length)) for start, end in prompts if start < whole]
    return RowLength(kept[0][1] if kept else 0, whole, tuple(kept[1:]), is_cut=end > max_length)


def encode_row(row: TextRow, text_format: TextFormat, encode: Encode, *, max_length: int) -> EncodedRow:
    """Encode one row into token ids, cut at `max_length` tokens from the end.

    `encode` must not add special tokens of its own. Prompts and completions are encoded apart and joined, so that the
    borders of the loss fall between tokens.
    """
    pieces = [(encode(text), is_learnt) for text, is_learnt in text_format.lay_out(row)]
    length = measure_row(((len(ids), is_learnt) for ids, is_learnt in pieces), max_length=max_length)
    token_ids = [token for ids, _ in pieces for token in ids]
    return EncodedRow(token_ids[:max_length], length.prompt, length.later_prompts, length.is_cut)
