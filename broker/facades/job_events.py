"""What happened to a job, all of it."""

from typing import Any

from broker.facades.asking import Broker, require_name

PAGE = 100


async def list_all_events(broker: Broker, job_id: str) -> list[dict[str, Any]]:
    """List the events of a job, the oldest first. Raises: Refused."""
    found = list[dict[str, Any]]()
    after: str | None = "0"
    while after is not None:
        page = await broker.get(f"/jobs/{require_name(job_id)}/events", after=after, limit=PAGE)
        found += page["data"]
        after = page["next_cursor"]
    return found
