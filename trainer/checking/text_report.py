"""The report on a text data set: rows that cannot be used, duplicates, lengths in tokens, mix of languages."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricing.datasets.file_names import name_for_reading, tell_unread
from pricing.datasets.finding_level import Level
from pricing.datasets.text_records import FORMS
from pricing.datasets.text_rows import PlacedRow, TextRow, is_text_name
from pricing.datasets.thresholds import CHINESE_CHARACTER, MAX_SAMPLES, MIN_SAMPLES, MINOR_LANGUAGE_SHARE, WORD
from trainer.checking.placed_rows import place_rows
from trainer.data.quality_report import Finding, QualityReport, make_histogram, sort_findings
from trainer.data.text import list_names


@dataclass(frozen=True)
class RowLength:
    """Tokens of one row before the cut, those of its prompt among them."""

    tokens: int
    prompt_tokens: int


MeasureRow = Callable[[TextRow], RowLength]


def check_text(
    folder: Path, metadata_path: Path | None = None, measure: MeasureRow | None = None, *, max_length: int = 512
) -> QualityReport:
    """Judge every row of the text files under `folder`. Raises: nothing for what is in the files."""
    placed = place_rows(_read_files(folder, metadata_path))
    for told in tell_unread(list_names(folder)) if metadata_path is None else ():
        placed.add_finding(told)
    rows, findings = placed.rows, placed.findings
    findings += judge_duplicates(rows)
    lengths = [measure(each.row) for each in rows] if measure else []
    findings += judge_lengths(rows, lengths, max_length)
    languages = Counter(detect_language(describe_row(each.row)) for each in rows)
    findings += judge_languages(languages) + judge_counts(len(rows))
    bad = {(finding.file, finding.line) for finding in findings if finding.is_bad_row}
    figures: dict[str, Any] = {"rows": len(rows), "languages": dict(languages.most_common())}
    if lengths:
        figures |= {
            "max_length": max_length,
            "tokens_of_one_epoch": sum(min(n.tokens, max_length) for n in lengths if n.prompt_tokens < max_length),
            "rows_cut": sum(n.tokens > max_length for n in lengths),
        }
    drawn = [
        make_histogram("Row length", "tokens", [length.tokens for length in lengths]),
        make_histogram("Row length", "characters", [len(describe_row(each.row)) for each in rows]),
    ]
    return QualityReport(
        kind="text",
        folder=str(folder),
        figures=figures,
        findings=sort_findings(findings),
        histograms=[histogram for histogram in drawn if histogram is not None],
        kept=[dict(row.record) for row in rows if (row.file, row.line) not in bad],
        counts=placed.tally.sum_up().with_lengths(
            too_long=sum(length.prompt_tokens >= max_length for length in lengths),
            cut=sum(length.prompt_tokens < max_length < length.tokens for length in lengths),
        ),
    )


def _read_files(folder: Path, metadata_path: Path | None) -> Iterator[tuple[str, bytes | OSError]]:
    named = name_for_reading(metadata_path.name) if metadata_path else ""
    for name in [named] if metadata_path else list_names(folder):
        if is_text_name(name):
            try:
                yield name, (metadata_path or folder / name).read_bytes()
            except OSError as error:
                yield name, error


def describe_row(row: TextRow) -> str:
    """Join all text of a row, for comparing and for telling its language."""
    turns = (*row.history, (row.prompt, row.completion))
    return "\n".join(text for text in (row.system or "", *(text for turn in turns for text in turn)) if text)


def judge_duplicates(rows: Sequence[PlacedRow]) -> list[Finding]:
    """Find rows that say the same words, in whatever case and spacing."""
    found: list[Finding] = []
    seen: dict[str, PlacedRow] = {}
    for placed in rows:
        key = " ".join(describe_row(placed.row).casefold().split())
        first = seen.setdefault(key, placed)
        if first is not placed:
            message = f"says the same as {first.file} line {first.line}"
            cure = "delete one: what comes twice is learnt twice as strongly"
            found.append(Finding("row_duplicate", Level.WARNING, placed.file, placed.line, message, cure, True))
    return found


def judge_lengths(rows: Sequence[PlacedRow], lengths: Sequence[RowLength], max_length: int) -> list[Finding]:
    found = []
    for placed, length in zip(rows, lengths, strict=False):
        if length.prompt_tokens >= max_length:
            message = (
                f"its prompt alone has {length.prompt_tokens} tokens, max_length is {max_length}: nothing to learn"
            )
            finding = Finding("row_too_long", Level.ERROR, placed.file, placed.line, message, "raise max_length", True)
            found.append(finding)
        elif length.tokens > max_length:
            message = f"has {length.tokens} tokens; the last {length.tokens - max_length} are cut off at max_length"
            cure = f"shorten it, or raise max_length to {length.tokens}"
            found.append(Finding("row_cut", Level.WARNING, placed.file, placed.line, message, cure))
    return found


def detect_language(text: str) -> str:
    """Tell `zh` or `en` by which script has more words (two Chinese characters count as one); `other` for neither."""
    words = WORD.findall(text)
    chinese = sum(1 for word in words if CHINESE_CHARACTER.fullmatch(word)) / 2
    latin = sum(1 for word in words if word.isascii() and word[0].isalpha())
    if max(chinese, latin) < len(words) / 4 or not words:
        return "other"
    return "zh" if chinese > latin else "en"


def judge_languages(languages: Counter[str]) -> list[Finding]:
    total = languages.total()
    found = []
    for language, count in languages.most_common()[1:]:
        if count < total * MINOR_LANGUAGE_SHARE:
            message = f"has {count} of {total} rows in {language}: too few to learn, enough to disturb"
            cure = "add more of them, or leave them out"
            found.append(Finding("language_minor", Level.HINT, "", None, message, cure))
    return found


def judge_counts(usable: int) -> list[Finding]:
    if usable == 0:
        message, cure = "has no usable row", f"give it some: {FORMS}"
        return [Finding("no_sample", Level.ERROR, "", None, message, cure)]
    if usable < MIN_SAMPLES:
        message = f"has {usable} usable rows; {MIN_SAMPLES} to {MAX_SAMPLES} make a style"
        return [
            Finding("few_samples", Level.WARNING, "", None, message, "add some, or raise epochs and watch overfitting")
        ]
    return []
