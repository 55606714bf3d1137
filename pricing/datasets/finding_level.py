"""How grave a finding about a data set is."""

from enum import StrEnum


class Level(StrEnum):
    """An error cannot be trained on; a warning will show in the result; a hint may be as you mean it."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"
