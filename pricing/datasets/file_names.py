"""Names of files that nobody means to train on: what editors, systems and tools put into a folder. Pure.

Trainer, broker and client all ask here, so that an upload is read as its folder is.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from pricing.datasets.finding_level import Level
from pricing.datasets.row_finding import RowFinding

# What systems keep for themselves, in lower case. Sources: the manuals of the file systems of macOS, Windows, Linux and
# Android, of the servers of Synology, QNAP and NetApp, of FrontPage and Python.
CLUTTER_FOLDERS = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),
        *("$recycle.bin", "recycler", "system volume information", "$extend", "msocache", "thumbs"),
        *("lost+found", "lost.dir", "@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot"),
        *("@__thumb", "~snapshot", "_vti_cnf", "__pycache__"),
    }
)
COPY = re.compile(r"~|#(?![0-9])")  # how its name begins; people number pictures #1.png, #2.png
CLUTTER_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"})
FOUND_FOLDER = re.compile(r"found\.[0-9]{3}")  # where Windows puts what it saved of a damaged disk
TEXT_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json", ".parquet")
# Where people keep rows too, or the files of rows.
OTHER_DATA = frozenset(
    {
        *(".xlsx", ".xls", ".ods", ".numbers", ".ndjson", ".jsonlines", ".arrow", ".feather", ".orc", ".avro"),
        *(".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz", ".pkl", ".pickle", ".sqlite", ".db"),
    }
)


def is_clutter(name: str) -> bool:
    """Tell whether a system put a file there, named with `/`: its notes, what it threw away, its own folders."""
    *folders, last = [part.lower() for part in PurePosixPath(name).parts] or [""]
    in_clutter = any(folder in CLUTTER_FOLDERS or FOUND_FOLDER.fullmatch(folder) for folder in folders)
    return in_clutter or last in CLUTTER_FILES or last == ".ds_store" or last.startswith("._")


def is_left_aside(name: str) -> bool:
    """Tell whether a file, named from the data's folder on with `/`, is hidden or in a hidden folder, clutter, or an
    editor's copy: `.ipynb_checkpoints/` holds older ones, `b~.png` and `#b.png` lie beside what they were.
    """
    path = PurePosixPath(name)
    is_hidden = any(part.startswith(".") and part not in {".", ".."} for part in path.parts)
    return is_hidden or is_clutter(name) or COPY.match(path.name) is not None or path.stem.endswith("~")


def name_for_reading(name: str) -> str:
    """Name a file that is meant, whatever its name looks like, as one that is not left aside."""
    path = PurePosixPath(name)
    return f"{path.stem.lstrip('.~#').rstrip('~') or 'data'}{path.suffix}"


def tell_left_aside(names: Iterable[str]) -> RowFinding | None:
    """Tell of data that is left aside, in one finding; None where nothing is."""
    aside = sorted(names)
    others = f" (and {len(aside) - 1} more such files)" if len(aside) > 1 else ""
    message = (
        f"is hidden, or named as a system's or a copy{others}, and left aside; rename or move what you want trained"
    )
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
