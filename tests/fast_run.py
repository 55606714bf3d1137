"""Which tests `make test-fast` runs: by what they ask for, so that nobody keeps a list."""

from collections.abc import Collection

import pytest

POSTGRES = "server_folders"  # the fixture that everybody asks for who starts a PostgreSQL
SLOW, STORY = "slow", "story"


def is_fast(item: pytest.Item) -> bool:
    """Tell whether a test belongs to the fast run."""
    asked = getattr(item, "fixturenames", ())
    return belongs_to_fast_run(asked, [marker.name for marker in item.iter_markers()])


def belongs_to_fast_run(fixtures: Collection[str], markers: Collection[str]) -> bool:
    """Tell whether a test with these fixtures and markers belongs there: it starts no PostgreSQL, or is a story.

    A story goes through the whole on a real PostgreSQL; what is slow is none.
    """
    return SLOW not in markers and (POSTGRES not in fixtures or STORY in markers)
