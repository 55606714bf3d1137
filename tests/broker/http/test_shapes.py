"""Times: a number was read as seconds since 1970, or as thousandths where it was large."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from broker.http.shapes import Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize("written", [1764000000, 1764000000.5, "1764000000", "1764000000.5", "-1", True, "１７"])
def test_number_is_no_time(written: Any) -> None:
    with pytest.raises(ValidationError, match="such as 2026-11-24T10:00:00Z"):
        MOMENT.validate_python(written)


@pytest.mark.parametrize("written", ["2026-11-24", "2026-11-24T10:00:00", "1999-12-31T23:59:59Z", "tomorrow", None])
def test_time_has_its_zone_and_a_year_of_ours(written: Any) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(written)


@pytest.mark.parametrize("written", ["2026-11-24T10:00:00Z", "2026-11-24T18:00:00+08:00", "2026-11-24 10:00:00Z"])
def test_time_is_read_with_its_zone(written: str) -> None:
    assert MOMENT.validate_python(written) == datetime(2026, 11, 24, 10, tzinfo=UTC)
