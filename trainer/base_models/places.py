"""Places as people write them: `~` and variables of the environment, written out as the shell does."""

import os
import re
from pathlib import Path

VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def expand(place: str) -> Path:
    """Write out `~`, `~name`, `$NAME` and `${NAME}`; a home that nobody has, and a variable that is not set, stay as
    they are written, and are told as not there.
    """
    written = VARIABLE.sub(lambda found: os.environ.get(found[1] or found[2]) or found[0], place)
    return Path(os.path.expanduser(written))  # noqa: PTH111 - Path.expanduser raises for a home that nobody has


def find_unset_variable(place: str) -> str | None:
    """Find the first variable of a place that is not set, or is empty; None where there is none."""
    named = (plain or braced for plain, braced in VARIABLE.findall(place))
    return next((name for name in named if not os.environ.get(name)), None)
