"""Reading prompt-completion rows and turning them into tokens: one code for the quote and for the training, so that
the tokens that were quoted are the tokens that are trained and billed.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Encode = Callable[[str], list[int]]

TEXT_SUFFIXES = (".jsonl", ".csv")


@dataclass(frozen=True)
class TextRow:
    """One training example: the completion is learnt, the prompt is context."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class RowFinding:
    """A row that cannot be used: where it is (1-based line) and why."""

    file: str
    line: int
    message: str


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a record that could not be parsed at all."""

    reason: str


@dataclass(frozen=True)
class ParsedRows:
    rows: list[TextRow] = field(default_factory=list)
    findings: list[RowFinding] = field(default_factory=list)


@dataclass(frozen=True)
class TextFormat:
    """The text that a base model expects around prompt and completion (its chat template, written out)."""

    before_prompt: str = ""
    after_prompt: str = "\n"
    after_completion: str = ""


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of one row; the first `prompt_length` of them carry no loss."""

    token_ids: list[int]
    prompt_length: int

    @property
    def is_learnable(self) -> bool:
        """Whether a token of the completion is left after the cut: a row without one would be billed for nothing."""
        return self.prompt_length < len(self.token_ids)


def parse_text_files(files: Iterable[tuple[str, bytes]]) -> ParsedRows:
    """Read every .jsonl and .csv among `files` (name, content), in the order of their names; others are passed over."""
    parsed = ParsedRows()
    for name, content in sorted(files):
        if not name.lower().endswith(TEXT_SUFFIXES):
            continue
        _parse_file(name, content, parsed)
    return parsed


def _parse_file(name: str, content: bytes, parsed: ParsedRows) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        parsed.findings.append(RowFinding(name, 1, f"not UTF-8 (byte {error.start}); save the file as UTF-8"))
        return
    records = _read_jsonl(text) if name.lower().endswith(".jsonl") else _read_csv(text)
    for line, record in records:
        row = _to_row(record)
        if isinstance(row, TextRow):
            parsed.rows.append(row)
        else:
            parsed.findings.append(RowFinding(name, line, row))


def _read_jsonl(text: str) -> Iterable[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, _Unreadable(f"not JSON: {error}")


def _read_csv(text: str) -> Iterable[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        yield reader.line_num, _Unreadable(f"not CSV: {error}")


def _to_row(record: Any) -> TextRow | str:
    if isinstance(record, _Unreadable):
        return record.reason
    if not isinstance(record, Mapping):
        return "a row is an object with prompt and completion"
    prompt, completion = record.get("prompt"), record.get("completion")
    if not isinstance(prompt, str) or not isinstance(completion, str):
        return "prompt and completion are both needed, as text"
    if not completion.strip():
        return "completion is empty: there is nothing to learn"
    if _has_lone_surrogate(prompt + completion):
        return "half of a surrogate pair is no character; write the character itself or both halves"
    return TextRow(prompt.strip(), completion.strip())


def _has_lone_surrogate(text: str) -> bool:
    """JSON escapes can write what UTF-8, and so every tokenizer, refuses."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def encode_row(row: TextRow, text_format: TextFormat, encode: Encode, *, max_length: int) -> EncodedRow:
    """Token ids of one row, cut at `max_length` tokens from the end.

    `encode` must not add special tokens of its own. The prompt and the completion are encoded apart and joined, so
    that the border of the loss falls between tokens.
    """
    prompt_ids = encode(text_format.before_prompt + row.prompt + text_format.after_prompt)
    completion_ids = encode(row.completion + text_format.after_completion)
    token_ids = (prompt_ids + completion_ids)[:max_length]
    return EncodedRow(token_ids, prompt_length=min(len(prompt_ids), len(token_ids)))
