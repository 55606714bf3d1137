"""Moments as browsers send them: a day and a time of day without a zone, which is that of the house. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def read_moment(text: str, time_zone: str) -> str:
    """Read what a field of day and time sends as ISO 8601 with its zone; what cannot be read stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    aware = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone))
    return aware.astimezone(UTC).isoformat()
