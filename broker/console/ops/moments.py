"""Moments as browsers send them: a day and a time of day without a zone, which is that of the house. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo


def read_moment(text: str, time_zone: str) -> str:
    """Read what a field of day and time sends as ISO 8601 with its zone; what cannot be read stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone))).isoformat()


def write_moment(moment: datetime, time_zone: str) -> str:
    """Write a moment as a field of day and time takes it."""
    return f"{moment.astimezone(ZoneInfo(time_zone)):%Y-%m-%dT%H:%M}"
