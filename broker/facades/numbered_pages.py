"""Pages by their numbers, for clients that know no cursors: those before are passed over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.facades.asking import Broker
from broker.facades.orders import refuse

# Of a longer list the REST API has the pages: there a cursor goes on where the one before ended.
MOST_PASSED = 10_000
LONGEST_PAGE = 100


@dataclass(frozen=True)
class NumberedPage:
    """A page, and how many objects there are: as many as were seen, and one more where there are more."""

    data: Sequence[dict[str, Any]]
    total: int


async def fetch_numbered_page(broker: Broker, path: str, page_no: int, page_size: int) -> NumberedPage:
    """Fetch the page of a number, from 1, the newest objects first. Raises: Refused."""
    first, last = (page_no - 1) * page_size, page_no * page_size
    if last > MOST_PASSED:
        raise refuse("page_no", f"goes beyond {MOST_PASSED} objects; list them by GET /v1{path} with its cursor")
    found, seen, cursor = list[dict[str, Any]](), 0, None
    while True:
        page = await broker.get(path, limit=min(LONGEST_PAGE, last - seen), cursor=cursor)
        found += page["data"][max(0, first - seen) :]
        seen, cursor = seen + len(page["data"]), page["next_cursor"]
        if cursor is None or seen >= last:
            return NumberedPage(found, seen + (cursor is not None))
