"""What is wrong with a row of text, a picture or a line of metadata, or is to be known of it. Pure."""

import re
from dataclasses import dataclass

from pricing.datasets.finding_level import Level


@dataclass(frozen=True)
class RowFinding:
    """A row that cannot be used (an error), or what is to be known of one: where it is (1-based line) and why.

    `reason` is the message without what differs from row to row; `rows` is how many rows it stands for, 0 for a remark.
    `is_set_aside`: the row says itself that it is not to be learnt.
    """

    file: str
    line: int
    message: str
    level: Level = Level.ERROR
    reason: str = ""
    rows: int = 1
    is_set_aside: bool = False


def cut_figures(message: str) -> str:
    """Cut a message down to what it has in common with those of other rows: figures stand in brackets, cures behind."""
    return re.split(r" \(|;", message, maxsplit=1)[0]
