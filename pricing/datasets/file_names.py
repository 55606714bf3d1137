"""Names of files that nobody means to train on: what editors, systems and tools put into a folder. Pure."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pricing.datasets.finding_level import Level
from pricing.datasets.row_finding import RowFinding

# macOS's and Synology's folders for themselves, Windows's bin, Python's and Jupyter's.
CLUTTER_FOLDERS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "__pycache__", "system volume information"}
)
TEXT_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json", ".parquet")
# Where people keep rows too, or the files of rows.
OTHER_DATA = frozenset(
    {
        *(".xlsx", ".xls", ".ods", ".numbers", ".ndjson", ".jsonlines", ".arrow", ".feather", ".orc", ".avro"),
        *(".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz", ".pkl", ".pickle", ".sqlite", ".db"),
    }
)
CLUTTER_FILES = frozenset({"thumbs.db", "desktop.ini"})


def is_left_aside(name: str) -> bool:
    """Tell whether a file, named from the data's folder on with `/`, is hidden or in a hidden folder, or clutter.

    `.ipynb_checkpoints/` holds older copies of what lies beside it.
    """
    parts = PurePosixPath(name).parts
    is_hidden = any(part.startswith(".") and part not in {".", ".."} for part in parts)
    in_clutter = any(part.lower() in CLUTTER_FOLDERS for part in parts[:-1])
    return is_hidden or in_clutter or (bool(parts) and parts[-1].lower() in CLUTTER_FILES)


def tell_left_aside(names: Iterable[str]) -> RowFinding | None:
    """Tell of data that lies hidden, in one finding; None where nothing does."""
    aside = sorted(names)
    others = f" (and {len(aside) - 1} more such files)" if len(aside) > 1 else ""
    message = f"is hidden{others} and left aside; move what you want trained"
    return RowFinding(aside[0], 1, message, Level.HINT, rows=0) if aside else None


def tell_unread(names: Iterable[str]) -> list[RowFinding]:
    """Tell of files in which somebody may keep rows of text, and which are not read: of each kind, and of the hidden
    ones, in one finding.
    """
    kinds: dict[str, list[str]] = {}
    in_all = sorted(names)
    hidden = tell_left_aside(name for name in in_all if name.lower().endswith(TEXT_SUFFIXES) and is_left_aside(name))
    for name in in_all:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in OTHER_DATA and not is_left_aside(name):
            kinds.setdefault(suffix, []).append(name)
    return [*(_tell_kind(found) for found in kinds.values()), *([hidden] if hidden is not None else [])]


def _tell_kind(names: list[str]) -> RowFinding:
    others = f" (and {len(names) - 1} more such files)" if len(names) > 1 else ""
    message = f"is not read{others}; save its rows as {', '.join(TEXT_SUFFIXES)}, or leave it out"
    return RowFinding(names[0], 1, message, Level.WARNING, rows=0)
